import pytest

from metadata import projects
from metadata.keys import READ_SCOPE, create_key, find_login
from metadata.models import Schema, SchemaState, Source, WishKind, utc_now
from metadata.outbox import Outbox
from metadata.projects import create_project, delete_project, get_project, list_projects
from metadata.runs import Runs
from tests.metadata.conftest import Workshop


def test_projects_are_listed_newest_first_by_pages(workshop: Workshop) -> None:
    with workshop.database.transaction() as session:
        made = [create_project(session, name).id for name in ("b", "a")]
    newest_first = [*reversed(made), workshop.project_id]
    with workshop.database.read() as session:
        assert [project.id for project in list_projects(session)] == newest_first
        assert [project.id for project in list_projects(session, limit=1, offset=1)] == newest_first[1:2]


def test_a_deleted_project_takes_everything_with_it_and_nothing_of_others(workshop: Workshop, runs: Runs) -> None:
    schema = workshop.schema(enabled_at=utc_now())
    workshop.change(workshop.fresh(SchemaState, schema.id), fence=1)
    never_ran = workshop.schema()
    other = workshop.project()
    kept = workshop.schema(workshop.source(project_id=other))
    with workshop.database.transaction() as session:
        _, secret = create_key(session, workshop.project_id, "k", [READ_SCOPE])
    with workshop.database.transaction() as session:
        assert delete_project(session, workshop.project_id) == [str(schema.id)]
    with workshop.database.transaction() as session:
        assert delete_project(session, workshop.project_id) is None
        assert get_project(session, workshop.project_id) is None
        assert find_login(session, secret) is None
    assert runs.intent(workshop.project_id, str(schema.id)) is None
    assert runs.live_schema_ids([str(one.id) for one in (schema, never_ran, kept)]) == {str(kept.id)}
    assert [erasure.schema_id for erasure in runs.pending_erasures(None, 10)] == [str(schema.id)]
    assert workshop.fresh(SchemaState, schema.id).generation == 2
    assert workshop.fresh(SchemaState, kept.id).generation == 1
    [errand] = Outbox(workshop.database).claim([str(one.id) for one in (schema, never_ran, kept)])
    assert (errand.schema_id, errand.intent) == (str(schema.id), None)
    assert [wish.kind for wish in errand.wishes] == [WishKind.UNSCHEDULE, WishKind.ERASE]


def test_a_project_of_many_schemas_is_deleted_in_steps(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(projects, "AT_ONCE", 2)
    schemas = [workshop.schema(enabled_at=utc_now()) for _ in range(5)]
    with workshop.database.transaction() as session:
        left = delete_project(session, workshop.project_id)
    assert left is not None
    assert sorted(left) == sorted(str(schema.id) for schema in schemas)
    errands = Outbox(workshop.database).claim(left)
    assert [[wish.kind for wish in errand.wishes] for errand in errands] == [[WishKind.UNSCHEDULE]] * 5
    for schema in schemas:
        assert workshop.fresh(Schema, schema.id).deleted_at is not None
        assert workshop.fresh(Source, schema.source_id).deleted_at is not None
