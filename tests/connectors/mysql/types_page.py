"""The tables of types in ``docs/connectors/mysql.md``, from the cases that the tests run:
``python -m tests.connectors.mysql.types_page``.
"""

from pathlib import Path

from tests.connectors.mysql.type_cases import CHOSEN, GEOMETRIES, MOMENTS, NUMBERS, TEXTS
from tests.connectors.types_page import table

PAGE = Path(__file__).parents[3] / "docs" / "connectors" / "mysql.md"
BEGIN, END = "<!-- types: from the tests -->\n", "<!-- end of types -->\n"


def page() -> str:
    """The page with its tables as they are to be."""
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{_sections()}{END}{after}"


def _sections() -> str:
    sections = {
        "Numbers": NUMBERS,
        "Texts and bytes": TEXTS,
        "Times": MOMENTS,
        "Geometries": GEOMETRIES,
        "Another type for a column": CHOSEN,
    }
    return "\n".join(f"### {title}\n\n{table('MariaDB', cases)}" for title, cases in sections.items())


if __name__ == "__main__":
    PAGE.write_text(page())
