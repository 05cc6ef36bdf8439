"""Postgres' errors as ``SourceError``s: what the user must do, in one sentence, without the driver's words.

Statements fail with an SQLSTATE, which decides. A login fails with nothing but text: libpq gives no code for it. The
known texts have sentences of their own; any other is taken for a passing one, since waiting does no harm.
"""

import re
from collections.abc import Callable

import psycopg

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
from connectors.postgres.config import PostgresConfig

_Login = Callable[[PostgresConfig], SourceError]

_LOGIN_FAILURES: list[tuple[str, _Login]] = [
    (
        r"Connection refused",
        lambda c: UnreachableError(
            f"Nothing answers on {c.host}, port {c.port}: check host and port, and that Postgres is running.",
            attr="host",
        ),
    ),
    (
        r"timeout expired|timed out|ConnectionTimeout",
        lambda c: UnreachableError(
            f"{c.host}, port {c.port}, did not answer in time: check that a firewall lets Syncline in.", attr="host"
        ),
    ),
    (
        r"Network is unreachable|No route to host|Host is unreachable",
        lambda c: UnreachableError(f"There is no route to {c.host}: check the host and the network.", attr="host"),
    ),
    (
        r"requires a valid client certificate",
        lambda c: ConfigurationError(
            "The server lets nobody in without a client certificate that it trusts: give one, and its key.",
            attr="ssl_cert",
        ),
    ),
    (
        r"certificate authentication failed",
        lambda c: CredentialsError(f"The client certificate is not made out to the user {c.user}.", attr="ssl_cert"),
    ),
    (
        r"alert (unknown ca|bad certificate|unsupported certificate|certificate \w+|decrypt error)",
        lambda c: ConfigurationError("The server does not accept the client certificate.", attr="ssl_cert"),
    ),
    (
        r"password authentication failed|no password supplied|SCRAM|authentication failed for user",
        lambda c: CredentialsError(f"The password of user {c.user} is wrong.", attr="password"),
    ),
    (
        r'role ".*" does not exist',
        lambda c: CredentialsError(f"There is no user {c.user} on this server.", attr="user"),
    ),
    (
        r"is not permitted to log in",
        lambda c: CredentialsError(f"The role {c.user} may not log in: grant it LOGIN.", attr="user"),
    ),
    (
        r'database ".*" does not exist',
        lambda c: CredentialsError(f"There is no database {c.database} on this server.", attr="database"),
    ),
    (
        r"permission denied for database",
        lambda c: CredentialsError(
            f"The user {c.user} has no CONNECT privilege on the database {c.database}.", attr="user"
        ),
    ),
    (
        r"not currently accepting connections",
        lambda c: CredentialsError(f"The database {c.database} accepts no connections.", attr="database"),
    ),
    (
        r"no pg_hba\.conf entry .*(no encryption|SSL off)",
        lambda c: CredentialsError(
            "The server turns down unencrypted logins from here: set the TLS mode to require, or allow this "
            "address in pg_hba.conf.",
            attr="sslmode",
        ),
    ),
    (
        r"pg_hba\.conf",
        lambda c: CredentialsError(
            f"The server lets {c.user} not in from this address: allow it in pg_hba.conf.", attr="host"
        ),
    ),
    (
        r"server does not support SSL",
        lambda c: ConfigurationError("The server does not offer TLS: set the TLS mode to prefer.", attr="sslmode"),
    ),
    (
        r"does not match host name",
        lambda c: ConfigurationError(f"The server's certificate is not made out to {c.host}.", attr="host"),
    ),
    (
        r"certificate verify failed|root certificate",
        lambda c: ConfigurationError(
            "The server's certificate is not signed by a trusted authority: give the authority's certificate.",
            attr="ssl_ca",
        ),
    ),
    (
        r"unexpected eof|EOF detected|SSL SYSCALL error",
        lambda c: UnreachableError(f"{c.host}, port {c.port}, broke off the encrypted login.", attr="host"),
    ),
    (
        r"SSL error|tls",
        lambda c: ConfigurationError("The server and Syncline agree on no way to encrypt.", attr="sslmode"),
    ),
    (
        r"too many (clients|connections)|remaining connection slots",
        lambda c: BusyError("The server has no free connection at the moment.", retry_after_seconds=30),
    ),
    (
        r"start walsender|start WAL sender",
        lambda c: AccessError(
            f"The user {c.user} may not replicate: ALTER ROLE … REPLICATION, or the provider's own role for it."
        ),
    ),
    (
        r"max_wal_senders",
        lambda c: BusyError("The server has no free replication connection (max_wal_senders).", retry_after_seconds=30),
    ),
    (
        r"is starting up|is shutting down|in recovery mode|not yet accepting connections",
        lambda c: BusyError("The server is starting or stopping at the moment.", retry_after_seconds=10),
    ),
]


def login_error(error: psycopg.Error, config: PostgresConfig) -> SourceError:
    """Why a login failed. Every way that is known has its own sentence."""
    text = str(error)
    for pattern, make in _LOGIN_FAILURES:
        if re.search(pattern, text):
            return make(config)
    if isinstance(error, psycopg.errors.ConnectionTimeout):
        return UnreachableError(f"{config.host}, port {config.port}, did not answer in time.", attr="host")
    return UnreachableError(
        f"{config.host}, port {config.port}, broke off the login: check that a Postgres server answers there.",
        attr="host",
    )


def _unreadable_text(what: str) -> SourceError:
    return SourceError(f"A text of {what} cannot be converted to UTF-8: mend it, or disable its column.")


_STATES: list[tuple[str, Callable[[str], SourceError]]] = [
    ("42501", lambda what: AccessError(f"The user may not read {what}: grant it USAGE and SELECT.")),
    ("42P01", lambda what: SchemaChangedError(f"Postgres no longer has {what}.")),
    ("42703", lambda what: SchemaChangedError(f"A column of {what} is gone: refresh the source's schemas.")),
    ("3F000", lambda what: SchemaChangedError(f"The schema of {what} is gone.")),
    ("57014", lambda what: ReadCancelledError(f"The read of {what} was cancelled.")),
    ("57P01", lambda what: UnreachableError(f"Postgres ended the connection while {what} was read.")),
    ("57P", lambda what: UnreachableError("Postgres is shutting down or starting.")),
    ("08", lambda what: UnreachableError(f"The connection broke while {what} was read.")),
    ("22P05", _unreadable_text),
    ("22021", _unreadable_text),
    ("55P03", lambda what: BusyError(f"A lock on {what} did not become free in time.")),
    ("55000", lambda what: SourceError(f"Postgres cannot read {what} as it is: a materialised view needs a REFRESH.")),
    ("40", lambda what: BusyError(f"Other work at the server ended the read of {what}.")),
    ("72000", lambda what: BusyError(f"The snapshot of {what} became too old.")),
    ("53", lambda what: BusyError("Postgres is short of connections, memory or disk.", retry_after_seconds=30)),
    ("58", lambda what: BusyError(f"Postgres could not read {what} from its disk.")),
]
_FILTER_STATES = ("22P02", "22007", "22008", "22003", "22025", "42883", "42804", "42846", "42725")


def query_error(error: psycopg.Error, what: str = "the database", *, filtered: bool = False) -> SourceError:
    """Why a statement failed. ``filtered``: it carried the user's own values, which may not fit their columns."""
    state = error.sqlstate
    if state is None:
        return UnreachableError(f"The connection broke while {what} was read.")
    if filtered and state in _FILTER_STATES:
        return ConfigurationError(f"A row filter of {what} has a value or operator that its column does not take.")
    for prefix, make in _STATES:
        if state.startswith(prefix):
            return make(what)
    return SourceError(f"Postgres could not compute the rows of {what} (SQLSTATE {state}).")
