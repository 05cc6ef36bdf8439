"""Names and values as SQL text. Nothing of the user's reaches a statement but through here."""


def identifier(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def relation(database: str, table: str) -> str:
    return f"{identifier(database)}.{identifier(table)}"


def literal(text: str) -> str:
    """A string constant, for sessions with the settings of ``connectors.mysql.session``: a backslash escapes there."""
    return "'" + text.replace("\\", "\\\\").replace("'", "''").replace("\0", "\\0") + "'"
