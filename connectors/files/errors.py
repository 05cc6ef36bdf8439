"""What can be wrong with a file. Each sentence names the file, as rows of it do in ``_file``."""

from connectors.errors import BusyError, SourceError


class BadFileError(SourceError):
    """A file is not what its format asks for: somebody must mend it, or change the options of its table."""

    code = "bad_file"


def changed(name: str) -> BusyError:
    """The file is another one than was looked at: the read begins anew."""
    return BusyError(f"The file {name} changed while it was read; it is read again.", retry_after_seconds=1)
