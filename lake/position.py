"""Where a table stands: what its newest commit says of itself.

Every commit of ours carries its position in the commit's metadata (key ``syncline``), and three Delta application
transactions: ``syncline.sequence``, the number of our commits to this table, ``syncline.fence``, the number of the
run that wrote it, and ``syncline.generation``. They survive checkpoints and log clean-up; the rest is copied to the
metadata database under the same sequence, so that the two always lead to the whole position.
"""

from dataclasses import asdict, dataclass, replace
from typing import Any

SEQUENCE_APP = "syncline.sequence"
FENCE_APP = "syncline.fence"
GENERATION_APP = "syncline.generation"
METADATA_KEY = "syncline"


@dataclass(frozen=True)
class LogMark:
    """How far a table follows its source's log: up to and with an entry of the change log (``lake.changelog``)."""

    epoch: int
    sequence: int
    position: int
    """The entry's: what was committed up to there is in the table."""
    members: str
    """Digest of the entry's members: which tables were captured, and their shapes."""
    horizon: int = 0
    """The first load is over once the log's position has come to here; 0 while that is not known yet."""

    def follows(self, older: "LogMark | None") -> "LogMark":
        """The same, knowing of the horizon what an older mark of the same epoch knows."""
        if older is None or older.epoch != self.epoch:
            return self
        return replace(self, horizon=max(self.horizon, older.horizon))


@dataclass(frozen=True)
class Position:
    """The state of a table after its newest commit; ``EMPTY`` where there is no table yet."""

    sequence: int = 0
    fence: int = 0
    generation: int = 0
    run_id: str | None = None
    batch: int = -1
    """Which batch of that run the commit holds: a retry recognises its own commit by run and batch."""
    mode: str | None = None
    """``full_refresh``, ``incremental``, ``append``, ``cdc`` or ``webhook``: how the rows came to be."""
    primary_key: tuple[str, ...] = ()
    cursor_field: str | None = None
    cursor: str | None = None
    """Greatest cursor value that the table holds, as canonical text; None when no row had one."""
    columns: tuple[str, ...] | None = None
    """The source's columns that were selected; None where all are taken, new ones too."""
    row_filter: str = ""
    """Canonical text of the row filter that the rows were read by; empty without one."""
    type_overrides: tuple[tuple[str, str], ...] = ()
    """Columns that were read in a type of the user's choice, with that type, in the order of the alphabet."""
    loaded: bool = False
    """The first load of this generation has come to its end."""
    log: LogMark | None = None
    """Of a table that is kept by its source's log."""
    state: str | None = None
    """The connector's own text of what it has read, beside the cursor."""
    version: int = -1
    """Delta version of the commit."""

    def as_dict(self) -> dict[str, Any]:
        columns = None if self.columns is None else list(self.columns)
        overrides = [list(pair) for pair in self.type_overrides]
        return {
            **asdict(self),
            "primary_key": list(self.primary_key),
            "columns": columns,
            "type_overrides": overrides,
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Position":
        known = {name: values[name] for name in cls.__dataclass_fields__ if name in values}
        columns = known.get("columns")
        log = known.get("log")
        read = {
            "log": LogMark(**log) if log else None,
            "primary_key": tuple(known.get("primary_key") or ()),
            "columns": None if columns is None else tuple(columns),
            "type_overrides": tuple((name, kind) for name, kind in known.get("type_overrides") or ()),
        }
        return cls(**{**known, **read})


EMPTY = Position()
