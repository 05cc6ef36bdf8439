"""What can go wrong with the metadata. Each text is one plain sentence for an operator, free of secrets."""


class MetadataError(Exception):
    """The metadata cannot give what was asked for."""


class NotFoundError(MetadataError):
    """The project, source or schema does not exist, or was deleted."""


class EraseUnfinishedError(MetadataError):
    """The schema's old data is still being deleted: no run may start before that is done. Passes by itself."""


class UnsupportedDatabaseError(MetadataError):
    """The database URL names something else than SQLite or PostgreSQL."""


class BadEncryptionKeyError(MetadataError):
    """An encryption key is missing or is not a Fernet key."""


class UnreadableSecretError(MetadataError):
    """Stored connection details were encrypted with a key that is not configured, or were damaged."""
