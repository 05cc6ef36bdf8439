import multiprocessing
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlmodel import SQLModel, col, select

import metadata
from local.postgres import PostgresServer
from metadata.database import Database, for_update
from metadata.errors import UnsupportedDatabaseError
from metadata.migrate import migrate
from metadata.models import LakeTable, Project, Schema, Source, TableKind
from metadata.vault import Vault, generate_key
from tests.metadata.conftest import Workshop


def test_models_and_migrations_agree(database: Database) -> None:
    with database.read() as session:
        context = MigrationContext.configure(session.connection(), opts={"compare_type": True})
        assert compare_metadata(context, SQLModel.metadata) == []


def test_a_migration_of_a_migrated_database_changes_nothing(metadata_url: str, database: Database) -> None:
    with database.transaction() as session:
        session.add(Project(name="kept"))
    migrate(metadata_url)
    with database.read() as session:
        assert session.exec(select(Project.name)).all() == ["kept"]


def test_what_came_before_capture_stays_and_so_does_the_way_back(metadata_url: str, database: Database) -> None:
    """Down to the first version and up again, over a table with a history beside it."""
    workshop = Workshop(database, Vault([generate_key()]), 0)
    workshop.project_id = workshop.project()
    schema = workshop.schema()
    with database.transaction() as session:
        for kind in TableKind:
            session.add(LakeTable(project_id=workshop.project_id, schema_id=schema.id, kind=kind, name=kind, path=kind))
    database.dispose()
    for revision in ("0001", "0005"):
        _go_to(metadata_url, revision)
    with database.read() as session:
        assert [(table.kind, table.name) for table in session.exec(select(LakeTable))] == [("main", "main")]
        assert session.exec(select(Source.capture_epoch)).all() == [0]
        context = MigrationContext.configure(session.connection(), opts={"compare_type": True})
        assert compare_metadata(context, SQLModel.metadata) == []


def _go_to(url: str, revision: str) -> None:
    config = Config(str(Path(metadata.__file__ or "").with_name("alembic.ini")))
    engine = create_engine(url)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        (command.downgrade if revision == "0001" else command.upgrade)(config, revision)
    engine.dispose()


def test_processes_that_start_together_migrate_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/new.db"
    starts = [multiprocessing.get_context("fork").Process(target=migrate, args=(url,)) for _ in range(4)]
    for process in starts:
        process.start()
    for process in starts:
        process.join(60)
    assert [process.exitcode for process in starts] == [0] * 4
    Database(url).ping()


def test_threads_that_start_together_migrate_an_empty_postgresql_once(postgres18: PostgresServer) -> None:
    url = postgres18.sqlalchemy_url(postgres18.create_database())
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(migrate, [url] * 4))
    database = Database(url)
    with database.read() as session:
        assert session.connection().execute(text("select version_num from alembic_version")).scalars().all() == ["0005"]
    database.dispose()


def test_a_transaction_commits_at_the_end_and_rolls_back_on_an_error(database: Database) -> None:
    with database.transaction() as session:
        kept = Project(name="kept")
        session.add(kept)
    with pytest.raises(KeyError):
        _add_and_stumble(database)
    assert kept.name == "kept"
    with database.read() as session:
        assert session.exec(select(Project.name)).all() == ["kept"]


def _add_and_stumble(database: Database) -> None:
    with database.transaction() as session:
        session.add(Project(name="lost"))
        session.flush()
        raise KeyError


def test_what_must_last_waits_for_the_disk_of_sqlite(sqlite_metadata_url: str) -> None:
    database = Database(sqlite_metadata_url)
    found = []
    for lasting in (False, True, False):
        with database.transaction(lasting=lasting) as session:
            session.add(Project(name=f"lasting {lasting}"))
            found.append(session.connection().execute(text("PRAGMA synchronous")).scalar_one())
    normal, full = 1, 2
    assert found == [normal, full, normal]
    with database.read() as session:
        names = session.exec(select(Project.name).order_by(col(Project.id))).all()
    assert names == ["lasting False", "lasting True", "lasting False"]
    database.dispose()


def test_a_read_can_write_nothing_and_the_next_transaction_can(database: Database) -> None:
    with database.read() as session:
        session.add(Project(name="sneaked in"))
        with pytest.raises(DBAPIError, match=r"(?i)read-?only"):
            session.flush()
    with database.transaction() as session:
        session.add(Project(name="wanted"))
    with database.read() as session:
        assert session.exec(select(Project.name)).all() == ["wanted"]


def test_a_read_does_not_wait_for_a_writer(database: Database) -> None:
    with database.transaction() as writing:
        writing.add(Project(name="not yet"))
        writing.flush()
        with database.read() as session:
            assert session.exec(select(Project.name)).all() == []


def test_counters_raised_by_many_threads_lose_nothing(database: Database) -> None:
    with database.transaction() as session:
        session.add(Project(id=1, name="0"))
    together = threading.Barrier(8)

    def raise_by_ten(_: int) -> None:
        together.wait(30)
        for _ in range(10):
            with database.transaction() as session:
                project = session.exec(for_update(select(Project).where(Project.id == 1))).one()
                project.name = str(int(project.name) + 1)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(raise_by_ten, range(8)))
    with database.read() as session:
        assert session.get_one(Project, 1).name == "80"


def test_rows_cannot_refer_to_nothing(database: Database) -> None:
    with pytest.raises(DBAPIError), database.transaction() as session:
        session.add(Source(project_id=12345, source_type="postgres", encrypted_inputs=""))


def test_errors_show_no_values(database: Database) -> None:
    with pytest.raises(DBAPIError) as caught, database.transaction() as session:
        session.add(Source(project_id=12345, source_type="postgres", encrypted_inputs="ciphertext"))
    assert "ciphertext" not in str(caught.value)


def test_a_locked_row_is_read_afresh(database: Database, metadata_url: str) -> None:
    if metadata_url.startswith("sqlite"):
        return  # There a transaction shuts every other writer out from its start.
    with database.transaction() as session:
        session.add(Project(id=1, name="old"))
    with database.transaction() as session:
        stale = session.get_one(Project, 1)
        with database.transaction() as other:
            other.get_one(Project, 1).name = "new"
        assert session.exec(for_update(select(Project))).one().name == "new"
        assert stale.name == "new"


def test_sqlite_is_set_up_for_many_processes(sqlite_metadata_url: str) -> None:
    database = Database(sqlite_metadata_url)
    with database.transaction() as session:
        pragmas = {
            name: session.connection().exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    database.dispose()
    assert pragmas == {"journal_mode": "wal", "synchronous": 1, "foreign_keys": 1, "busy_timeout": 30_000}


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "mysql://u:secret@h/d", "no url at all"])
def test_other_databases_are_refused_without_showing_the_url(url: str) -> None:
    for opened in (Database, migrate):
        with pytest.raises(UnsupportedDatabaseError) as caught:
            opened(url)
        assert "secret" not in str(caught.value)


def test_names_are_free_again_after_a_delete(workshop: Workshop) -> None:
    source = workshop.source(prefix="a")
    schema = workshop.schema(source)
    workshop.change(schema, deleted_at=schema.created_at)
    workshop.change(source, deleted_at=source.created_at)
    again = workshop.source(prefix="a")
    assert workshop.schema(again).id != schema.id
    with pytest.raises(DBAPIError):
        workshop.source(prefix="a")
    with workshop.database.read() as session:
        assert len(session.exec(select(Schema)).all()) == 2
