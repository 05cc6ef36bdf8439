import uuid
from collections.abc import Callable
from datetime import time, timedelta
from typing import Any

from metadata.models import Schema, SchemaState, SyncFrequency, utc_now
from metadata.runs import Erasure, RunningJob, Runs, ScheduleIntent
from tests.metadata.conftest import Workshop


def all_pages(fetch: Callable[[str | None], list[Any]], last_id: Callable[[Any], str]) -> list[Any]:
    found: list[Any] = []
    after: str | None = None
    while page := fetch(after):
        found += page
        after = last_id(page[-1])
    return found


def test_schedules_are_asked_for_live_configured_schemas_only(workshop: Workshop, runs: Runs) -> None:
    source = workshop.source(prefix="a_")
    enabled_at = utc_now()
    wanted = workshop.schema(
        source,
        name="public.t",
        sync_frequency=SyncFrequency.ONE_DAY,
        sync_time_of_day=time(3, 30),
        enabled_at=enabled_at,
    )
    disabled = workshop.schema(source, name="disabled", should_sync=False)
    unconfigured = workshop.schema(source, name="unconfigured", sync_type=None)
    deleted = workshop.schema(source, name="deleted", deleted_at=utc_now())
    orphan = workshop.schema(workshop.source(prefix="gone", deleted_at=utc_now()))

    found = {intent.schema_id: intent for intent in runs.schedulable(None, 100)}
    assert found.keys() == {str(wanted.id), str(disabled.id)}
    expected = ScheduleIntent(
        project_id=workshop.project_id,
        source_id=str(source.id),
        source_type="postgres",
        schema_id=str(wanted.id),
        schema_name="public.t",
        table_name="a_postgres_public_t",
        should_sync=True,
        sync_frequency="24hour",
        sync_time_of_day=time(3, 30),
        enabled_at=enabled_at,
        erase_pending=False,
    )
    assert found[str(wanted.id)] == runs.schedule_intent(str(wanted.id)) == expected
    for absent in (unconfigured, deleted, orphan):
        assert runs.schedule_intent(str(absent.id)) is None


def test_what_runs_have_written_is_known_whatever_the_settings_are_now(workshop: Workshop, runs: Runs) -> None:
    source = workshop.source(prefix="a_")
    now = utc_now()
    schemas = {name: workshop.schema(source, name=name) for name in ("live", "unset", "never", "lately", "long ago")}
    for name, schema in schemas.items():
        if name != "never":
            assert runs.begin(workshop.project_id, str(schema.id), f"w-{schema.id}", "r", "manual")
    workshop.change(workshop.fresh(Schema, schemas["unset"].id), sync_type=None)
    lately = now - timedelta(days=1)
    workshop.change(workshop.fresh(Schema, schemas["lately"].id), deleted_at=lately)
    workshop.change(workshop.fresh(Schema, schemas["long ago"].id), deleted_at=now - timedelta(days=9))
    workshop.change(source, deleted_at=now)

    since = now - timedelta(days=7)
    found = {table.schema_id: table for table in all_pages(lambda a: runs.written(since, a, 2), lambda t: t.schema_id)}
    assert found.keys() == {str(schemas[name].id) for name in ("live", "unset", "lately")}
    assert found[str(schemas["lately"].id)].deleted_at == lately
    assert found[str(schemas["live"].id)].table_path == (
        f"project_{workshop.project_id}/a_postgres_live_{schemas['live'].id.hex[:12]}"
    )


def test_pages_cover_everything_once(workshop: Workshop, runs: Runs) -> None:
    source = workshop.source()
    schemas = [workshop.schema(source, name=f"t{number}") for number in range(7)]
    jobs = {}
    for schema in schemas:
        begun = runs.begin(workshop.project_id, str(schema.id), f"w-{schema.id}", "r", "manual")
        assert begun is not None
        jobs[begun.job_id] = schema
        workshop.change(workshop.fresh(SchemaState, schema.id), erase_pending=True)

    later = utc_now() + timedelta(seconds=1)
    schedules = all_pages(lambda after: runs.schedulable(after, 3), lambda intent: intent.schema_id)
    running = all_pages(lambda after: runs.running_jobs(later, 3, after), lambda job: job.job_id)
    erasures = all_pages(lambda after: runs.pending_erasures(after, 3), lambda erasure: erasure.schema_id)

    in_order = sorted(str(schema.id) for schema in schemas)
    assert [intent.schema_id for intent in schedules] == in_order
    assert [erasure.schema_id for erasure in erasures] == in_order
    assert running == [
        RunningJob(job_id, workshop.project_id, str(jobs[job_id].id), f"w-{jobs[job_id].id}", "r")
        for job_id in sorted(jobs)
    ]


def test_only_jobs_begun_before_and_not_ended_count_as_running(workshop: Workshop, runs: Runs) -> None:
    begun = [
        runs.begin(workshop.project_id, str(workshop.schema().id), f"w{number}", "r", "schedule") for number in range(2)
    ]
    assert begun[0] is not None
    assert begun[1] is not None
    assert runs.running_jobs(utc_now() - timedelta(minutes=2), 10) == []
    runs.finish(begun[0].job_id, "Completed")
    found = runs.running_jobs(utc_now() + timedelta(seconds=1), 10)
    assert [job.job_id for job in found] == [begun[1].job_id]
    assert runs.live_job_ids(begun[1].intent.schema_id) == {begun[1].job_id}
    assert runs.live_job_ids(begun[0].intent.schema_id) == set()


def test_live_ids_leave_out_the_deleted_the_unknown_and_the_malformed(workshop: Workshop, runs: Runs) -> None:
    live, dead = workshop.schema(), workshop.schema(deleted_at=utc_now())
    asked = [str(live.id), str(dead.id), str(uuid.uuid4()), "syncline-reconcile", ""]
    assert runs.live_schema_ids(asked) == {str(live.id)}
    assert runs.live_schema_ids([]) == set()


def test_an_erasure_knows_the_path_though_schema_and_source_are_deleted(workshop: Workshop, runs: Runs) -> None:
    source = workshop.source(prefix="x_")
    schema = workshop.schema(source)
    intent = runs.intent(workshop.project_id, str(schema.id))
    assert intent is not None
    assert runs.erasure(workshop.project_id, str(schema.id)) is None
    workshop.change(workshop.fresh(SchemaState, schema.id), erase_pending=True)
    workshop.change(schema, deleted_at=utc_now())
    workshop.change(source, deleted_at=utc_now())
    expected = Erasure(workshop.project_id, str(schema.id), intent.table_path, 1)
    assert runs.erasure(workshop.project_id, str(schema.id)) == expected
    assert runs.erasure(workshop.project(), str(schema.id)) is None
    runs.erased(str(schema.id), 1)
    assert runs.erasure(workshop.project_id, str(schema.id)) is None
    assert runs.pending_erasures(None, 10) == []
