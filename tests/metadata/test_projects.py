from metadata.keys import READ_SCOPE, create_key, find_key
from metadata.models import SchemaState
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
    schema = workshop.schema()
    other = workshop.project()
    kept = workshop.schema(workshop.source(project_id=other))
    with workshop.database.transaction() as session:
        _, secret = create_key(session, workshop.project_id, "k", [READ_SCOPE])
    with workshop.database.transaction() as session:
        assert delete_project(session, workshop.project_id)
    with workshop.database.transaction() as session:
        assert not delete_project(session, workshop.project_id)
        assert get_project(session, workshop.project_id) is None
        assert find_key(session, secret) is None
    assert runs.intent(workshop.project_id, str(schema.id)) is None
    assert runs.live_schema_ids([str(schema.id), str(kept.id)]) == {str(kept.id)}
    assert [erasure.schema_id for erasure in runs.pending_erasures(None, 10)] == [str(schema.id)]
    assert workshop.fresh(SchemaState, schema.id).generation == 2
    assert workshop.fresh(SchemaState, kept.id).generation == 1
