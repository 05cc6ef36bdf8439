"""Tables as the catalogue of a source that speaks SQL has them, and their keys and cursors as the user sees them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from connectors.base import IncrementalField


class SqlColumn(Protocol):
    """A column, with its type in the source's own words."""

    @property
    def name(self) -> str: ...

    @property
    def type(self) -> str: ...

    @property
    def not_null(self) -> bool: ...


ColumnT = TypeVar("ColumnT", bound=SqlColumn)


@dataclass(frozen=True)
class Index:
    """Columns of an index by order; None stands for an expression. ``ordered``: rows come by its first column."""

    primary: bool
    unique: bool
    ordered: bool
    columns: tuple[str | None, ...]


@dataclass(frozen=True)
class SqlTable(Generic[ColumnT]):
    """A table or view, with the columns that the user may SELECT."""

    name: str
    kind: str
    comment: str | None
    row_estimate: int | None
    columns: tuple[ColumnT, ...]
    indexes: tuple[Index, ...]

    def column(self, name: str) -> ColumnT | None:
        return next((each for each in self.columns if each.name == name), None)

    def is_indexed(self, column: str) -> bool:
        """Whether an index gives the table's rows in the order of this column."""
        return any(each.ordered and each.columns[:1] == (column,) for each in self.indexes)

    @property
    def primary_key(self) -> tuple[str, ...]:
        """Empty where the table has none, or one that the user may not read."""
        return next(iter(_readable((each.columns for each in self.indexes if each.primary), self.columns)), ())

    @property
    def unique_keys(self) -> tuple[tuple[str, ...], ...]:
        """Those beside the primary key."""
        return by_worth((each.columns for each in self.indexes if each.unique and not each.primary), self.columns)


def by_worth(keys: Iterable[tuple[str | None, ...]], columns: Sequence[SqlColumn]) -> tuple[tuple[str, ...], ...]:
    """The keys that are made of these columns, each once: those without nullable columns first."""
    not_null = {each.name: each.not_null for each in columns}
    return tuple(sorted(_readable(keys, columns), key=lambda key: not all(not_null[name] for name in key)))


def _readable(keys: Iterable[tuple[str | None, ...]], columns: Sequence[SqlColumn]) -> list[tuple[str, ...]]:
    """Without those that hold an expression, which are no keys of columns."""
    names = {each.name for each in columns}
    named = (tuple(name for name in key if name in names) for key in dict.fromkeys(keys) if set(key) <= names)
    return [key for key in named if key]


def incremental_fields(
    columns: Iterable[ColumnT], cursor_type: Callable[[ColumnT], str | None], is_indexed: Callable[[str], bool]
) -> tuple[IncrementalField, ...]:
    """The columns that may be cursors. ``cursor_type``: an ``IncrementalField``'s; None for a column that is none."""
    return tuple(
        IncrementalField(
            field=column.name,
            field_type=kind,
            label=column.name,
            type=column.type,
            nullable=not column.not_null,
            is_indexed=is_indexed(column.name),
        )
        for column in columns
        if (kind := cursor_type(column)) is not None
    )
