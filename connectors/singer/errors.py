"""What can go wrong with a tap itself."""

from connectors.errors import SourceError


class TapFailedError(SourceError):
    """The tap ended with an error of its own, or was ended. Only it knows why: it is tried again."""

    code = "tap_failed"
    retryable = True


class BadTapError(SourceError):
    """What the tap printed is not what Singer asks for."""

    code = "bad_tap"
