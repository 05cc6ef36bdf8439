"""What can go wrong in the lake."""


class LakeError(Exception):
    """The lake could not do it. Retryable unless a subclass says otherwise; never disables a schema."""

    retryable = True


class FencedError(LakeError):
    """A newer run owns the table: this writer must stop, whatever it holds."""

    retryable = False


class StalePositionError(LakeError):
    """The table moved on since this batch was planned: plan again from where it stands now."""


class UnsafeStoreError(LakeError):
    """The object store ignores conditional puts, so two writers could lose commits. Refused at start."""

    retryable = False


class IncompatibleSchemaError(LakeError):
    """The new rows do not fit the stored columns. The message names the column, both types, and what to do."""

    retryable = False


class DuplicateKeyError(LakeError):
    """Rows of one batch share a primary key, or have none. Names an example."""

    retryable = False


class MissingRowError(LakeError):
    """A change leaves values as they were in a row that the table does not have: it must be read anew."""

    retryable = False
