"""TLS with certificates that users give: their check, their files, and what is wrong with a server's.

The modes are libpq's: ``disable``, ``prefer``, ``require``, ``verify-ca`` and ``verify-full``.
"""

import os
import ssl
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from connectors.errors import ConfigurationError

MODES = ("disable", "prefer", "require", "verify-ca", "verify-full")
MOST_CHARACTERS = 100_000

_NOT_YET_VALID, _EXPIRED = 9, 10
"""Of OpenSSL's X509_V_ERR."""


@dataclass(frozen=True)
class Certificates:
    """PEM texts. ``authority``: whom to trust, None for the system's own list; ``own`` and ``key``: who we are."""

    authority: str | None = None
    own: str | None = None
    key: str | None = field(default=None, repr=False)


NO_CERTIFICATES = Certificates()


def certificates(authority: str, own: str, key: str) -> Certificates:
    """Those of a form's fields ``ssl_ca``, ``ssl_cert`` and ``ssl_key``; ``ConfigurationError`` names the wrong one."""
    if own and not key:
        raise ConfigurationError("The client certificate needs its private key.", attr="ssl_key")
    if key and not own:
        raise ConfigurationError("The private key needs its client certificate.", attr="ssl_cert")
    for attr, text in (("ssl_ca", authority), ("ssl_cert", own), ("ssl_key", key)):
        if len(text) > MOST_CHARACTERS:
            raise ConfigurationError(f"The field {attr} is too long for a certificate or key.", attr=attr)
    if authority:
        _check_authority(authority)
    if own:
        _check_pair(own, key)
    return Certificates(*(text + "\n" if text else None for text in (authority, own, key)))


def _check_authority(text: str) -> None:
    try:
        ssl.create_default_context(cadata=text)
    except (ssl.SSLError, ValueError) as error:
        raise ConfigurationError(
            "The authority's certificate is no PEM text (-----BEGIN CERTIFICATE-----).", attr="ssl_ca"
        ) from error


def _check_pair(own: str, key: str) -> None:
    # A process that has no key to read need not load what reads them.
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        first, *_ = x509.load_pem_x509_certificates(own.encode())
        public = first.public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ConfigurationError(
            "The client certificate is no PEM text (-----BEGIN CERTIFICATE-----).", attr="ssl_cert"
        ) from error
    if "ENCRYPTED" in key:
        raise ConfigurationError(
            "The client certificate's key is encrypted: give it without a passphrase (`openssl pkey -in KEY`).",
            attr="ssl_key",
        )
    try:
        private = load_pem_private_key(key.encode(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # Without the cause: it may speak of the key.
        raise ConfigurationError(
            "The client certificate's key is no PEM text (-----BEGIN PRIVATE KEY-----).", attr="ssl_key"
        ) from None
    if private.public_key() != public:
        raise ConfigurationError("The private key is not that of the client certificate.", attr="ssl_key")


@dataclass(frozen=True)
class Files:
    """Paths; None where there is nothing for a file to hold."""

    authority: str | None = None
    own: str | None = None
    key: str | None = None


@contextmanager
def files(mode: str, given: Certificates) -> Iterator[Files]:
    """For drivers that read files: those that a connection in that mode needs, for this process and while the context
    lasts. ``ConfigurationError`` where the system has no authorities to trust and none is given.
    """
    verifies, encrypts = mode.startswith("verify"), mode != "disable"
    with ExitStack() as stack:

        def path(text: str | None) -> str | None:
            return stack.enter_context(_file(text)) if text and encrypts else None

        authority = (path(given.authority) or _system_authorities()) if verifies else None
        yield Files(authority, path(given.own), path(given.key))


def _system_authorities() -> str:
    bundle = ssl.get_default_verify_paths().cafile
    if bundle is None:
        raise ConfigurationError(
            "This system has no list of trusted authorities: give the authority's certificate.", attr="ssl_ca"
        )
    return bundle


@contextmanager
def _file(text: str) -> Iterator[str]:
    """In memory where the system has such files: a process that is killed leaves none behind."""
    if sys.platform == "linux":
        with open(os.memfd_create("syncline-tls"), "w") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(text)
            file.flush()
            yield f"/proc/self/fd/{file.fileno()}"
    else:
        with tempfile.NamedTemporaryFile("w", prefix="syncline-tls-", suffix=".pem") as file:
            file.write(text)
            file.flush()
            yield file.name


def context(given: Files) -> ssl.SSLContext:
    """One that holds the server's certificate against the authority, and not against a name."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.load_verify_locations(given.authority)
    if given.own is not None:
        made.load_cert_chain(given.own, given.key)
    return made


def refusal(error: ssl.SSLCertVerificationError, host: str) -> ConfigurationError:
    """Why the certificate of a server was not accepted."""
    if error.verify_code == _EXPIRED:
        return ConfigurationError(f"The certificate of {host} has expired: renew it there.", attr="host")
    if error.verify_code == _NOT_YET_VALID:
        return ConfigurationError(f"The certificate of {host} is not valid yet: check the clocks.", attr="host")
    return ConfigurationError(
        "The server's certificate is not signed by a trusted authority: give the authority's certificate.",
        attr="ssl_ca",
    )
