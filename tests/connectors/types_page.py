"""``docs/types.md``, written from the cases that the tests run: ``python -m tests.connectors.types_page``."""

import re
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Any

from lake.evolution import describe_type
from tests.connectors.type_cases import (
    CHOSEN,
    CUSTOM_TYPES,
    DOCUMENTS,
    MOMENTS,
    NUMBERS,
    OF_ONES_OWN,
    OTHERS,
    TEXTS,
    Case,
    Nulled,
)

PAGE = Path(__file__).parents[2] / "docs" / "types.md"
LONGEST = 48

INTRODUCTION = """\
# Types

What a PostgreSQL value becomes in the lake: the same by full refresh, incremental and append, and by both of the
connector's ways of reading. The tables below are written from the cases that the tests run (`make types-page`): each
value here is read and synced in every mode, and compared.

**What Delta cannot hold becomes null and is counted**, by column and reason, in the `warnings` of the run's job and in
its log: NaN and ±Infinity in `numeric`; dates and timestamps that are infinite or outside the years 1 to 9999; text
that is not valid UTF-8 (out of an SQL_ASCII database, or broken in another). No value is ever rounded, cut or replaced;
of arrays the bounds are not kept.

**`numeric` without a precision**, or with more than 38 digits, is decimal(38,18) where every value read fits exactly,
else string; in the modes `incremental` and `append` a column that is string stays string until a resync. As text, equal
numbers are equal texts: `1.50` is `1.5`.

**Databases of any encoding** arrive in UTF-8. **Extensions** (`hstore`, `citext`, `postgis`, …) have types of which the
rule is that of all others: PostgreSQL's own text.

**Column names** stay as they are, but for the characters that Delta forbids (space, `,;{}()=`, tab, line break), which
become `_`; names that would then be equal, or are equal but for case, get a number. Each row carries `_sync_at`, the
time at which its run read it.
"""

CHOOSING = """\
## Another type for a column

`type_overrides` of a schema gives columns a type of your choice: `{"price": "decimal(18,2)", "born": "string"}`.

| column | can be |
|---|---|
| any | `string`: PostgreSQL's own text, with all that the usual type cannot hold |
| integers, `numeric` | `long`, `double`, `decimal(p,s)` |
| `real` | `double` |
| `date`, `timestamp`, `timestamptz` | `timestamp`, `timestamp_ntz`; what has no zone is in UTC |
| text of any kind | `binary`: its bytes, whether they are valid text or not |

A value that the type cannot hold exactly becomes null and is counted; only `double` takes the nearest of its values,
and has NaN and ±Infinity. The cursor keeps its own type; a key cannot be `double`. What a change does to the data
stands in [syncing.md](syncing.md#types-of-columns).
"""


def page() -> str:
    sections = {
        "Numbers": NUMBERS,
        "Texts and bytes": TEXTS,
        "Times": MOMENTS,
        "Documents and arrays": DOCUMENTS,
        "All others": OTHERS,
    }
    parts = [INTRODUCTION]
    parts += [f"## {title}\n\n{table('PostgreSQL', cases)}" for title, cases in sections.items()]
    own = "\n".join(line for line in CUSTOM_TYPES.strip().splitlines() if "EXTENSION" not in line)
    parts.append(f"## Types of one's own\n\n```sql\n{own}\n```\n\n{table('PostgreSQL', OF_ONES_OWN)}")
    parts.append(f"{CHOOSING}\n{table('PostgreSQL', CHOSEN)}")
    return "\n".join(parts)


def table(database: str, cases: Iterable[Case]) -> str:
    """What becomes of a database's values, as Markdown."""
    rows = [f"| {_type(case.type)} | {describe_type(case.arrow)} | {_values(case)} |" for case in cases]
    return "\n".join([f"| {database} | Delta | values |", "|---|---|---|", *rows]) + "\n"


def _type(name: str) -> str:
    plain, _, comment = name.partition(" /* ")
    return f"`{plain}`" + (f" of {comment.removesuffix(' */')}" if comment else "")


def _values(case: Case) -> str:
    return "; ".join(f"{_code(sql)} → {_result(value)}" for sql, value in case.values.items())


def _result(value: Any) -> str:
    if isinstance(value, Nulled):
        return f"null, *{value.reason}*"
    if isinstance(value, bytes):
        return _code(f"0x{value.hex()}")
    if isinstance(value, date):
        return value.isoformat()
    return _code(value) if isinstance(value, str) else str(value)


def _code(text: str) -> str:
    shown = re.sub(r"[\x00-\x1f]", lambda found: f"\\x{ord(found[0]):02x}", text)
    shown = shown if len(shown) <= LONGEST else f"{shown[: LONGEST - 1]}…"
    return f"`{shown}`".replace("|", "\\|") if shown else "empty"


if __name__ == "__main__":
    PAGE.write_text(page())
