"""Is every table in the lake what it is at the source?"""

from collections.abc import Mapping
from typing import Any

import psycopg
from rich.console import Console
from rich.table import Table

from local.demo.client import DemoClient, DemoError, Json
from local.demo.contents import lake_contents, source_columns, source_contents


def lake_urls(client: DemoClient, source: Json) -> dict[str, str]:
    """Table name to the root of its Delta table."""
    found = {schema["name"]: client.schema(schema["id"])["table"] for schema in source["schemas"]}
    if missing := sorted(name for name, table in found.items() if table is None):
        raise DemoError(f"These tables are not in the lake: {', '.join(missing)}.")
    return {name: table["url_pattern"] for name, table in found.items()}


def compare_sides(
    connection: psycopg.Connection[Any],
    urls: Mapping[str, str],
    storage_options: Mapping[str, str],
    console: Console,
) -> None:
    """Print rows and checksum of both sides; ``DemoError`` names the tables that differ."""
    shown = Table("  table", "rows", "PostgreSQL", "Delta", "", box=None, pad_edge=False)
    shown.columns[1].justify = "right"
    different = []
    for name, url in urls.items():
        here = source_contents(connection, name)
        there = lake_contents(url, storage_options, source_columns(connection, name))
        equal = here == there
        if not equal:
            different.append(f"{name} ({here.rows:,} rows at the source, {there.rows:,} in the lake)")
        sign = "[green]equal[/]" if equal else "[red]different[/]"
        shown.add_row(f"  {name}", f"{there.rows:,}", here.checksum, there.checksum, sign)
    console.print(shown)
    if different:
        raise DemoError(f"The lake differs from the source: {', '.join(different)}.")
