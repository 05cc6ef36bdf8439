"""Names and values as SQL text. Nothing of the user's reaches a statement but through here."""

from connectors.errors import ConfigurationError


def identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def relation(schema: str, table: str) -> str:
    return f"{identifier(schema)}.{identifier(table)}"


def literal(text: str, type_name: str | None = None) -> str:
    """A string constant, cast to a type where one is given; right for either ``standard_conforming_strings``."""
    if "\0" in text:
        raise ConfigurationError("A value holds a null character, which Postgres cannot compare with.")
    body = text.replace("'", "''")
    constant = "E'" + body.replace("\\", "\\\\") + "'" if "\\" in body else f"'{body}'"
    return f"CAST({constant} AS {type_name})" if type_name else constant
