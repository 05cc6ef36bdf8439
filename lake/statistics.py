"""Delta file statistics from Parquet's own, such that no reader is misled.

Bounds may be wider than the values, never narrower: long text is cut to a prefix, upwards for a maximum. NaN and the
infinities have no JSON form, so a column with one has no bounds. And a file gives all of its bounds or none: pyarrow
datasets made by ``deltalake`` take a missing one for null as soon as the file has others, and would hide its rows.
What Syncline itself prunes by is then kept under a name that other readers do not look at.
"""

import json
import math
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

FIRST_COLUMNS = 32
"""As many as Delta's readers expect by default; keys and cursors come on top, wherever they stand."""
TEXT_LIMIT = 64
OWN_BOUNDS = "syncline"
_LAST_CHARACTER = 0x10FFFF
_SURROGATES = range(0xD800, 0xE000)


def columns_with_statistics(schema: pa.Schema, also: Iterable[str]) -> list[str]:
    return list(dict.fromkeys([*schema.names[:FIRST_COLUMNS], *also]))


def file_statistics(metadata: pq.FileMetaData, schema: pa.Schema, also: Iterable[str], with_nan: Iterable[str]) -> str:
    """The ``stats`` of a Delta add action, as JSON text. ``with_nan``: columns in which NaN occurs."""
    lower: dict[str, str] = {}
    upper: dict[str, str] = {}
    nulls: dict[str, str] = {}
    complete = True
    for name in columns_with_statistics(schema, also):
        kind, groups = schema.field(name).type, _group_statistics(metadata, schema.get_field_index(name))
        nulls[name] = str(sum(group.null_count for group in groups))
        valued = [group for group in groups if group.num_values]
        if not valued or pa.types.is_binary(kind):
            continue
        bounds = None if name in with_nan else _bounds(valued, kind)
        if bounds is None:
            complete = False
        else:
            lower[name], upper[name] = bounds
    members = {"numRecords": str(metadata.num_rows), "nullCount": _json_object(nulls)}
    if complete:
        members |= {"minValues": _json_object(lower), "maxValues": _json_object(upper)}
    else:
        own = {name: f"[{lower[name]},{upper[name]}]" for name in also if name in lower}
        members[OWN_BOUNDS] = _json_object(own)
    return _json_object(members)


def _group_statistics(metadata: pq.FileMetaData, index: int) -> list[pq.Statistics]:
    return [metadata.row_group(group).column(index).statistics for group in range(metadata.num_row_groups)]


def _bounds(groups: list[pq.Statistics], kind: pa.DataType) -> tuple[str, str] | None:
    if not all(group.has_min_max for group in groups):
        return None
    lower = encode_lower(min(group.min for group in groups), kind)
    upper = encode_upper(max(group.max for group in groups), kind)
    return None if lower is None or upper is None else (lower, upper)


def _json_object(members: Mapping[str, str]) -> str:
    return "{" + ",".join(f"{_text(name)}:{value}" for name, value in members.items()) + "}"


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


def encode_lower(value: Any, kind: pa.DataType) -> str | None:
    """JSON text of a value at or below ``value``; None where there is none."""
    return _text(value[:TEXT_LIMIT]) if isinstance(value, str) else _encode(value)


def encode_upper(value: Any, kind: pa.DataType) -> str | None:
    """JSON text of a value at or above ``value``; None where there is none."""
    if isinstance(value, str) and len(value) > TEXT_LIMIT:
        successor = _successor(value[:TEXT_LIMIT])
        return None if successor is None else _text(successor)
    return _text(value) if isinstance(value, str) else _encode(value)


def _successor(prefix: str) -> str | None:
    """The least text above all that begin with the prefix."""
    kept = prefix.rstrip(chr(_LAST_CHARACTER))
    if not kept:
        return None
    following = ord(kept[-1]) + 1
    return kept[:-1] + chr(_SURROGATES.stop if following in _SURROGATES else following)


def _encode(value: Any) -> str | None:
    match value:
        case float():
            return repr(value) if math.isfinite(value) else None
        case bool() | int():
            return json.dumps(value)
        case Decimal():
            return f"{value:f}"
        case datetime():
            plain = value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
            return f'"{plain.isoformat(timespec="microseconds")}{"Z" if value.tzinfo else ""}"'
        case date():
            return f'"{value.isoformat()}"'
        case _:
            return None


def read_bounds(statistics: str | None, column: str, kind: pa.DataType) -> tuple[pa.Scalar, pa.Scalar] | None:
    """What ``file_statistics`` said of a column, typed; None where it did not say."""
    parsed = json.loads(statistics or "{}", parse_float=Decimal)
    lower, upper = parsed.get(OWN_BOUNDS, {}).get(column) or (
        parsed.get("minValues", {}).get(column),
        parsed.get("maxValues", {}).get(column),
    )
    if lower is None or upper is None:
        return None
    return _decode(lower, kind), _decode(upper, kind)


def _decode(value: Any, kind: pa.DataType) -> pa.Scalar:
    if pa.types.is_decimal(kind):
        return pa.scalar(Decimal(value), kind)
    if pa.types.is_floating(kind):
        return pa.scalar(float(value), kind)
    return pa.scalar(value).cast(kind)


def null_count(statistics: str | None, column: str) -> int | None:
    count = json.loads(statistics or "{}").get("nullCount", {}).get(column)
    return None if count is None else int(count)
