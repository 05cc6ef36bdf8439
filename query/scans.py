"""Scans of tables whose rows are wide, in little memory."""

from typing import Any

import pyarrow.dataset as ds

_FEW_AT_ONCE = {"batch_size": 2048, "batch_readahead": 2, "fragment_readahead": 1}
"""As a rule Arrow reads 16 batches of as many as 131,072 rows ahead, of 4 files: with a page of JSON in each row, more
than a query may use.
"""


class WideRows(ds.FileSystemDataset):  # type: ignore[misc]
    """The same rows, of which few are read ahead. The engine makes each of its scans by ``scanner``."""

    @classmethod
    def of(cls, dataset: ds.FileSystemDataset) -> "WideRows":
        return cls(list(dataset.get_fragments()), dataset.schema, dataset.format, dataset.filesystem)

    def scanner(self, **options: Any) -> ds.Scanner:
        return super().scanner(**options, **_FEW_AT_ONCE)
