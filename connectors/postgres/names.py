"""How a table of the source is named to the user.

A source of one schema names its tables plainly. Otherwise it is ``schema.table``, where a part that holds a dot or a
quote stands in double quotes, as in SQL: ``"my.schema".orders``. So two tables never share a name.
"""

import re

_PART = r'"((?:[^"]|"")+)"|([^".]+)'
_QUALIFIED = re.compile(rf"(?:{_PART})\.(?:{_PART})", re.DOTALL)


def public_name(schema: str, table: str, only_schema: str | None) -> str:
    return table if only_schema else f"{_part(schema)}.{_part(table)}"


def parse_name(name: str, only_schema: str | None) -> tuple[str, str] | None:
    """Schema and table of a public name, None where no table can have that name."""
    if only_schema:
        return only_schema, name
    match = _QUALIFIED.fullmatch(name)
    if not match:
        return None
    schema_quoted, schema, table_quoted, table = match.groups()
    return _unquote(schema_quoted, schema), _unquote(table_quoted, table)


def _part(name: str) -> str:
    return '"' + name.replace('"', '""') + '"' if "." in name or '"' in name else name


def _unquote(quoted: str | None, plain: str | None) -> str:
    return quoted.replace('""', '"') if quoted is not None else plain or ""
