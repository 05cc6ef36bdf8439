"""The field ``tables``: which files make up which table, and how they are read. Pure.

Either a line for each table, ``orders: orders/*.csv.gz``, or JSON, which takes options as well:
``{"orders": {"files": "orders/*.csv.gz", "delimiter": ";"}}``.
"""

import codecs
import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, NoReturn

from connectors.errors import ConfigurationError
from connectors.inference.chosen import KNOWN_TYPES, lake_type
from connectors.overrides import canonical

ATTR = "tables"
FORMATS = ("csv", "tsv", "jsonl", "parquet")
BAD_LINES = ("fail", "skip", "keep")
BAD_LINES_SUFFIX = "_bad_lines"
MOST_TABLES = 10_000
_SPELLINGS = {"tab": "\t", "\\t": "\t", "none": ""}


@dataclass(frozen=True)
class DelimitedOptions:
    """How CSV and TSV are written."""

    delimiter: str | None = None
    """None: a comma, of TSV a tab."""
    quote: str = '"'
    """Empty: nothing is quoted."""
    escape: str = ""
    header: bool | tuple[str, ...] = True
    """Whether the first line names the columns; or their names, where no line does."""
    nulls: tuple[str, ...] = ("",)
    """Texts that mean null where they are not quoted."""


@dataclass(frozen=True)
class FileTable:
    """One table of the source."""

    name: str
    patterns: tuple[str, ...]
    format: str | None = None
    """None: each file's name tells."""
    delimited: DelimitedOptions = DelimitedOptions()
    encoding: str = "utf-8"
    bad_lines: str = "fail"
    """``fail``, ``skip``, or ``keep``: skipped as well, and to be had as a table of their own."""
    of_bad_lines: bool = False
    """It is that table of another."""
    columns: tuple[tuple[str, str], ...] = ()
    """Columns and the lake types that were declared for them."""

    @property
    def skips_bad_lines(self) -> bool:
        return self.bad_lines != "fail"


def parse_tables(given: Any) -> tuple[FileTable, ...]:
    """``ConfigurationError`` names the table and the option that are wrong."""
    declared = given if isinstance(given, Mapping) else _parsed(given)
    if not declared:
        raise ConfigurationError("The field tables names no table: write one as orders: orders/*.csv.", attr=ATTR)
    if len(declared) > MOST_TABLES:
        raise ConfigurationError(f"The field tables names more than {MOST_TABLES} tables.", attr=ATTR)
    tables = [_table(name, each) for name, each in declared.items()]
    return (*tables, *(_of_bad_lines(each, declared) for each in tables if each.bad_lines == "keep"))


def _parsed(given: Any) -> Mapping[str, Any]:
    if given is None:
        return {}
    if not isinstance(given, str):
        raise ConfigurationError("The field tables must be text or an object.", attr=ATTR)
    if not given.lstrip().startswith("{"):
        return _lines(given)
    try:
        found: dict[str, Any] = json.loads(given, object_pairs_hook=_once)
    except json.JSONDecodeError as error:
        raise ConfigurationError(
            f"The field tables is no valid JSON at line {error.lineno}, column {error.colno}.", attr=ATTR
        ) from error
    return found


def _lines(text: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, colon, pattern = line.partition(":")
        if not (colon and name.strip() and pattern.strip()):
            raise ConfigurationError(
                f"Line {number} of the field tables names no table: write one as orders: orders/*.csv.", attr=ATTR
            )
        if name.strip() in found:
            raise ConfigurationError(f"The field tables names the table {name.strip()} twice.", attr=ATTR)
        found[name.strip()] = pattern.strip()
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(name for name, _ in pairs if sum(other == name for other, _ in pairs) > 1)
        raise ConfigurationError(f"The field tables names {twice} twice.", attr=ATTR)
    return found


def _table(name: str, given: Any) -> FileTable:
    if not name.strip() or name != name.strip() or not name.isprintable() or len(name) > 200:
        raise ConfigurationError(
            f"The table {name[:60]!r} has a name that is empty, longer than 200 characters or with blanks around it.",
            attr=ATTR,
        )
    options = {"files": given} if isinstance(given, str | list) else given
    if not isinstance(options, Mapping):
        _wrong(name, "files", "must be a pattern, a list of patterns, or an object of options")
    table = FileTable(name, patterns=())
    for option, value in {"files": None, **options}.items():
        if option not in _OPTIONS:
            _wrong(name, option, f"is not known; the options are {', '.join(_OPTIONS)}")
        table = _OPTIONS[option](table, value)
    given_characters = (table.delimited.delimiter or "", table.delimited.quote, table.delimited.escape)
    used = [each for each in given_characters if each]
    if len(set(used)) < len(used):
        _wrong(name, "delimiter", "must be another character than quote and escape")
    return table


def _of_bad_lines(table: FileTable, declared: Collection[str]) -> FileTable:
    name = table.name + BAD_LINES_SUFFIX
    if name in declared:
        _wrong(table.name, "bad_lines", f"keeps them as the table {name}, which there is already: rename that one")
    return replace(table, name=name, columns=(), of_bad_lines=True)


def _files(table: FileTable, value: Any) -> FileTable:
    patterns = [value] if isinstance(value, str) else value
    if not isinstance(patterns, list) or not patterns or not all(isinstance(p, str) and p.strip() for p in patterns):
        _wrong(table.name, "files", "must be a pattern such as orders/*.csv, or a list of them")
    return replace(table, patterns=tuple(dict.fromkeys(pattern.strip() for pattern in patterns)))


def _format(table: FileTable, value: Any) -> FileTable:
    return replace(table, format=_one_of(table.name, "format", value, FORMATS))


def _bad_lines(table: FileTable, value: Any) -> FileTable:
    return replace(table, bad_lines=_one_of(table.name, "bad_lines", value, BAD_LINES))


def _header(table: FileTable, value: Any) -> FileTable:
    if isinstance(value, bool):
        return _delimited(table, header=value)
    names = value if isinstance(value, list) else []
    if not names or not all(isinstance(each, str) and each for each in names) or len(set(names)) < len(names):
        _wrong(table.name, "header", "must be true, false, or a list of the columns' names, each another one")
    return _delimited(table, header=tuple(names))


def _encoding(table: FileTable, value: Any) -> FileTable:
    try:
        found = codecs.lookup(value).name
        "".encode(found)
    except (LookupError, TypeError, ValueError):
        _wrong(table.name, "encoding", "must be the name of a text encoding, such as utf-8, latin-1 or utf-16")
    return replace(table, encoding="utf-8" if found == "utf-8-sig" else found)


def _nulls(table: FileTable, value: Any) -> FileTable:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(each, str) for each in texts):
        _wrong(table.name, "nulls", 'must be a list of texts, such as ["", "NULL"]')
    return _delimited(table, nulls=tuple(texts))


def _columns(table: FileTable, value: Any) -> FileTable:
    if not isinstance(value, Mapping) or not all(isinstance(each, str) for each in value.values()):
        _wrong(table.name, "columns", 'must be an object of columns and types, such as {"zip": "string"}')
    for column, wanted in value.items():
        if lake_type(canonical(wanted)) is None:
            _wrong(table.name, f"columns.{column}", f"must be one of {', '.join(KNOWN_TYPES)}")
    return replace(table, columns=tuple((column, canonical(wanted)) for column, wanted in value.items()))


def _character(option: str, empty: bool) -> Callable[[FileTable, Any], FileTable]:
    def parse(table: FileTable, value: Any) -> FileTable:
        one = _SPELLINGS.get(value, value) if isinstance(value, str) else None
        if one is None or len(one) > 1 or not one.isascii() or (one in "\r\n\0" and one) or not (one or empty):
            _wrong(table.name, option, f"must be one ASCII character{' or none' if empty else ''}")
        return _delimited(table, **{option: one})

    return parse


def _delimited(table: FileTable, **changes: Any) -> FileTable:
    return replace(table, delimited=replace(table.delimited, **changes))


def _one_of(table: str, option: str, value: Any, choices: tuple[str, ...]) -> str:
    if value not in choices:
        _wrong(table, option, f"must be one of {', '.join(choices)}")
    return str(value)


def _wrong(table: str, option: str, problem: str) -> NoReturn:
    raise ConfigurationError(f"The option {option} of the table {table} {problem}.", attr=ATTR)


_OPTIONS: dict[str, Callable[[FileTable, Any], FileTable]] = {
    "files": _files,
    "format": _format,
    "delimiter": _character("delimiter", empty=False),
    "quote": _character("quote", empty=True),
    "escape": _character("escape", empty=True),
    "header": _header,
    "encoding": _encoding,
    "nulls": _nulls,
    "bad_lines": _bad_lines,
    "columns": _columns,
}
