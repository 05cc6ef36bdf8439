"""Whether tables can be captured: asked of the source before settings are stored that need it."""

from collections.abc import Mapping, Sequence
from typing import Any

from api.backend import Backend
from api.captures import UnmetError, refusal, required, setup_of
from api.schema_rules import SchemaSettings, newly_captured
from connectors.capture import FollowedTable
from connectors.errors import SourceError
from metadata.models import Capture, Schema, Source


def check_capture(
    backend: Backend, source: Source, schemas: Sequence[Schema], changes: Sequence[Mapping[str, Any]], under: str = ""
) -> None:
    """``UnmetError`` for the first table that is to be captured from now on and cannot be. Asks the source once, and
    only where there is such a table that the rules would let through.
    """
    wanted = {
        place: table
        for place, (schema, change) in enumerate(zip(schemas, changes, strict=True))
        if (table := _wanted(schema, change)) is not None
    }
    if not wanted:
        return
    with backend.database.read() as session:
        capture = session.get(Capture, source.id)
    if capture is None or capture.removing:
        return
    connector = required(source.source_type)
    try:
        config = backend.stored_config(connector, source)
        with backend.source_calls.bounded(source.project_id):
            setup = setup_of(capture)
            if not connector.capture_problems(config, setup, list(wanted.values()), existing=True):
                return
            # There is something: now whose it is.
            for place, table in wanted.items():
                if problems := connector.capture_problems(config, setup, [table], existing=True):
                    raise UnmetError(problems, attr=f"{under}.{place}.sync_type" if under else "sync_type")
    except SourceError as error:
        raise refusal(error) from error


def _wanted(schema: Schema, changes: Mapping[str, Any]) -> FollowedTable | None:
    before = SchemaSettings.of(schema)
    after = before.with_changes(changes)
    key = after.primary_key_columns or schema.discovered.get("primary_key")
    # Without a key the rules refuse it anyway, in their own words.
    return FollowedTable(str(schema.id), schema.name, tuple(key)) if key and newly_captured(before, after) else None
