"""What can go wrong at a source, named by what somebody must do.

The text of each error is one plain sentence for the user, free of secrets; the driver's own words go into
``__cause__`` and from there to the log only.
"""


class SourceError(Exception):
    """Something at the source. ``message`` is what the user reads; ``attr`` names the offending input, if one is."""

    retryable: bool = False
    code: str = "source_error"

    def __init__(self, message: str, *, attr: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.attr = attr


class ConfigurationError(SourceError):
    """The connection's fields are wrong in themselves: missing, of the wrong shape, contradictory."""

    code = "invalid_config"


class CredentialsError(SourceError):
    """The source turned the login down: wrong password, unknown user or database, no right to connect."""

    code = "invalid_credentials"


class AccessError(SourceError):
    """The login works but may not read this table."""

    code = "insufficient_privilege"


class SchemaChangedError(SourceError):
    """The table or column is gone, or changed into something that what is stored cannot hold."""

    code = "schema_changed"


class UnreachableError(SourceError):
    """The host does not answer: DNS, network, refused, timed out. Waits and tries again."""

    code = "unreachable"
    retryable = True


class BusyError(SourceError):
    """The source asks to come back later: lock or statement timeout, recovery conflict, throttling."""

    code = "busy"
    retryable = True

    def __init__(self, message: str, *, attr: str | None = None, retry_after_seconds: float | None = None) -> None:
        super().__init__(message, attr=attr)
        self.retry_after_seconds = retry_after_seconds


class ReadCancelledError(SourceError):
    """The read was stopped because somebody asked for it."""

    code = "cancelled"


class SnapshotLostError(SourceError):
    """The state that a part was to be read of is no longer to be had, or the table was rewritten since."""

    code = "snapshot_lost"


class NotDivisibleError(SourceError):
    """The source cannot show several sessions one state: the table must be read as a whole."""

    code = "not_divisible"


class LogLostError(SourceError):
    """The source's log does not reach back to where it was read last: its tables must be read anew."""

    code = "log_lost"
