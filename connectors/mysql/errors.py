"""The server's errors as ``SourceError``s: what the user must do, in one sentence, without the driver's words.

The number of an error decides, not its text, which the server may be set to give in any language.
"""

import ssl
from collections.abc import Callable

import pymysql

from connectors.errors import (
    AccessError,
    BusyError,
    ConfigurationError,
    CredentialsError,
    ReadCancelledError,
    SchemaChangedError,
    SourceError,
    UnreachableError,
)
from connectors.mysql.config import MySqlConfig
from connectors.tls import refusal

NO_TLS_OFFERED = 2026
LOST = (2006, 2013, 2055)
"""The client's own numbers for a connection that is gone."""
_HUNG_UP = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)
"""In the middle of TLS, which says nothing about it: a server that stops does so."""
_NAME_MISMATCH = (62, 64)
"""Of OpenSSL's X509_V_ERR: for names, and for addresses."""

_Login = Callable[[MySqlConfig], SourceError]


def _refused(config: MySqlConfig) -> SourceError:
    return CredentialsError(
        f"The server turns {config.user} down: the user or the password is wrong, or the account may not log in from "
        "here or in this TLS mode.",
        attr="password",
    )


def _no_database(config: MySqlConfig) -> SourceError:
    return CredentialsError(
        f"There is no database {config.database} on this server that {config.user} may use.", attr="database"
    )


def _locked(config: MySqlConfig) -> SourceError:
    return CredentialsError(f"The account {config.user} is locked.", attr="user")


def _other_login(config: MySqlConfig) -> SourceError:
    return CredentialsError(
        f"The account {config.user} logs in by a method that Syncline does not have: give it a password of the usual "
        "kind, or use another account.",
        attr="user",
    )


def _expired(config: MySqlConfig) -> SourceError:
    return CredentialsError(f"The password of {config.user} has expired.", attr="password")


def _shut_out(config: MySqlConfig) -> SourceError:
    return CredentialsError(
        "The server lets nobody in from this address: create an account for it, or run FLUSH HOSTS.", attr="host"
    )


def _full(config: MySqlConfig) -> SourceError:
    return BusyError("The server has no free connection for this account at the moment.", retry_after_seconds=30)


def _stopping(config: MySqlConfig) -> SourceError:
    return BusyError("The server is starting or stopping at the moment.", retry_after_seconds=10)


_LOGIN_FAILURES: dict[int, _Login] = {
    1045: _refused,
    1044: _no_database,
    1049: _no_database,
    1698: _other_login,
    1251: _other_login,
    2059: _other_login,
    1820: _expired,
    1862: _expired,
    3118: _locked,
    4151: _locked,
    1129: _shut_out,
    1130: _shut_out,
    1040: _full,
    1203: _full,
    1226: _full,
    1047: _stopping,
    1053: _stopping,
    3159: lambda c: CredentialsError(
        "The server turns down unencrypted logins: set the TLS mode to require.", attr="sslmode"
    ),
    NO_TLS_OFFERED: lambda c: ConfigurationError(
        "The server does not offer TLS: set the TLS mode to prefer.", attr="sslmode"
    ),
}


def login_error(error: Exception, config: MySqlConfig) -> SourceError:
    """Why a login failed. Every way that is known has its own sentence; any other is taken for a passing one."""
    cause = getattr(error, "original_exception", error)
    if isinstance(cause, ssl.SSLError) and not isinstance(cause, _HUNG_UP):
        return _tls_error(cause, config)
    if isinstance(error, RuntimeError):
        # PyMySQL's word for a package that a method needs.
        return _other_login(config)
    if make := _LOGIN_FAILURES.get(number(error)):
        return make(config)
    return UnreachableError(
        f"{config.host}, port {config.port}, broke off the login: check that MySQL or MariaDB answers there.",
        attr="host",
    )


def unreachable(config: MySqlConfig) -> SourceError:
    """Nobody takes the connection."""
    return UnreachableError(
        f"Nothing answers on {config.host}, port {config.port}: check host and port, and that the server is running.",
        attr="host",
    )


def late_login(config: MySqlConfig) -> SourceError:
    """The host took the connection and then did not answer in time."""
    return UnreachableError(
        f"{config.host}, port {config.port}, did not answer in time: check that a firewall lets Syncline in.",
        attr="host",
    )


def _tls_error(error: ssl.SSLError, config: MySqlConfig) -> SourceError:
    if not isinstance(error, ssl.SSLCertVerificationError):
        return ConfigurationError("The server and Syncline agree on no way to encrypt.", attr="sslmode")
    if error.verify_code in _NAME_MISMATCH:
        return ConfigurationError(f"The server's certificate is not made out to {config.host}.", attr="host")
    return refusal(error, config.host)


def _broken(what: str) -> SourceError:
    return UnreachableError(f"The connection broke while {what} was read.")


def _denied(what: str) -> SourceError:
    return AccessError(f"The user may not read {what}: grant it SELECT.")


def _short(what: str) -> SourceError:
    return BusyError("The server is short of connections, memory or disk.", retry_after_seconds=30)


def _conflict(what: str) -> SourceError:
    return BusyError(f"Other work at the server ended the read of {what}.")


def _slow(what: str) -> SourceError:
    return BusyError(f"The read of {what} took longer than the server lets it.")


def _bad_view(what: str) -> SourceError:
    return AccessError(f"The view {what} asks for what is gone, or for what its definer may not read.")


_FAILURES: dict[int, Callable[[str], SourceError]] = {
    **dict.fromkeys((1044, 1142, 1143, 1227, 1370), _denied),
    **dict.fromkeys((1356, 1449), _bad_view),
    **dict.fromkeys((1049, 1051, 1146), lambda what: SchemaChangedError(f"The source no longer has {what}.")),
    1054: lambda what: SchemaChangedError(f"A column of {what} is gone: refresh the source's schemas."),
    1820: lambda what: CredentialsError("The password of the account has expired.", attr="password"),
    1317: lambda what: ReadCancelledError(f"The read of {what} was cancelled."),
    **dict.fromkeys((1053, 1152, 1158, 1159, 1160, 1161, 1184, 1927, *LOST), _broken),
    1205: lambda what: BusyError(f"A lock on {what} did not become free in time."),
    1412: lambda what: BusyError(f"{what} was changed just as it was to be read.", retry_after_seconds=1),
    1213: _conflict,
    **dict.fromkeys((1969, 3024), _slow),
    **dict.fromkeys((1021, 1030, 1037, 1038, 1040, 1041, 1047, 1203, 1226), _short),
    **dict.fromkeys(
        (1034, 1035, 1194, 1195),
        lambda what: SourceError(f"{what} is damaged: the server asks for REPAIR TABLE."),
    ),
    1153: lambda what: SourceError(f"A row of {what} is larger than the server may send: raise max_allowed_packet."),
}
_OF_FILTERS = (1064, 1210, 1267, 1270, 1271, 1292, 1300, 1366, 1367, 1411, 1525, 1690, 4078, 4079)


def number(error: Exception) -> int:
    """The error's number; 0 where the driver gives none."""
    found = error.args[0] if error.args else 0
    return found if isinstance(found, int) else 0


def query_error(error: Exception, what: str = "the database", *, filtered: bool = False) -> SourceError:
    """Why a statement failed. ``filtered``: it carried the user's own values, which may not fit their columns."""
    code = number(error)
    if isinstance(error, pymysql.InterfaceError | OSError):
        return _broken(what)
    if isinstance(error, IndexError | ValueError):
        return SourceError(f"The server answers for {what} with what is no rows: check that MySQL or MariaDB is there.")
    if filtered and code in _OF_FILTERS:
        return ConfigurationError(f"A row filter of {what} has a value or operator that its column does not take.")
    if make := _FAILURES.get(code):
        return make(what)
    return SourceError(f"The server could not compute the rows of {what} (error {code}).")
