"""The ``syncline`` command."""

import gc
import logging
import sys
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Annotated, NoReturn

import structlog
import typer
from pydantic import ValidationError
from sqlalchemy.exc import SQLAlchemyError

from local.errors import LocalError
from local.query_client import Output, ask
from local.state import load_ports
from metadata.database import Database
from metadata.errors import MetadataError
from metadata.keys import EVERY_SCOPE, create_key, ensure_bootstrap, list_keys, revoke_key
from metadata.projects import create_project, delete_project, get_project, list_projects
from settings import Settings

DEFAULT_API_PORT = 8000
DRAIN_SECONDS = 8
"""How long the API lets open requests come to their end."""

app = typer.Typer(
    help="Copies tables into Delta Lake tables on S3.", no_args_is_help=True, pretty_exceptions_enable=False
)
keys_app = typer.Typer(help="API keys.", no_args_is_help=True)
projects_app = typer.Typer(help="Projects, the tenants of an instance.", no_args_is_help=True)
app.add_typer(keys_app, name="keys")
app.add_typer(projects_app, name="projects")

ProjectId = Annotated[int, typer.Option("--project", help="The project's number.")]


def main() -> None:
    app()


@app.command()
def up() -> None:
    """Run the whole platform on this machine until Ctrl-C."""
    from local.stack import run_up

    with _plain_errors():
        run_up(_settings(), typer.echo)


@app.command()
def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Stay up afterwards, until Ctrl-C.")] = False,
) -> None:
    """Copy the tables of a real Postgres into Delta on S3 on this machine, and compare both sides."""
    from local.demo import run_demo

    with _plain_errors():
        code = run_demo(_settings(), keep)
    raise typer.Exit(code)


@app.command()
def api() -> None:
    """Run the REST API alone."""
    settings = _production_settings()
    _start_logging(settings)
    import uvicorn

    from api.app import create_app

    served = create_app(settings)
    # What is loaded by now stays: collections that went through all of it would hold up every request for 0.1 s.
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    uvicorn.run(
        served,
        host=settings.api_host,
        port=settings.api_port or DEFAULT_API_PORT,
        log_config=None,
        timeout_graceful_shutdown=DRAIN_SECONDS,
    )


@app.command()
def worker() -> None:
    """Run a worker alone."""
    settings = _production_settings()
    _start_logging(settings)
    import uvloop

    from worker import run

    # Child processes would otherwise repeat the program's own start, and each load all that it imports.
    vars(sys.modules["__main__"]).pop("__file__", None)
    uvloop.run(run(settings))


@app.command("query")
def query_command(
    sql: str,
    api_key: Annotated[str, typer.Option(envvar="SYNCLINE_API_KEY", help="An API key of the project.")],
    api_url: Annotated[
        str | None, typer.Option(envvar="SYNCLINE_API_URL", help="Where the API is; the one of `syncline up` here.")
    ] = None,
    project: ProjectId = 1,
    limit: Annotated[int, typer.Option(min=1, help="The most rows to answer.")] = 1000,
    output: Annotated[Output, typer.Option("--format", help="How to print the answer.")] = Output.TABLE,
) -> None:
    """Ask a running API: read-only SQL over a project's tables."""
    with _plain_errors():
        typer.echo(ask(api_url or _local_api_url(), api_key, project, sql, limit, output), nl=output is Output.JSON)


@app.command("migrate")
def migrate_command() -> None:
    """Bring the metadata database to this version; make project 1 and its first key where there is none."""
    from metadata.migrate import migrate

    settings = _settings()
    _require(settings, "database_url")
    assert settings.database_url is not None
    url, chosen = settings.database_url.get_secret_value(), settings.bootstrap_api_key
    with _plain_errors():
        migrate(url)
        with _database(url) as database, database.transaction() as session:
            made = ensure_bootstrap(session, chosen.get_secret_value() if chosen else None)
    if made and not chosen:
        typer.echo(f"The first API key of project 1, shown only now: {made}")
    typer.echo("The metadata database is up to date.")


@keys_app.command("create")
def keys_create(
    label: str,
    project: ProjectId = 1,
    scope: Annotated[list[str] | None, typer.Option(help="May be given several times; * allows everything.")] = None,
    role: Annotated[str, typer.Option(help="viewer, editor or manager.")] = "manager",
    days: Annotated[int | None, typer.Option(min=1, help="How long it is valid; for ever if not given.")] = None,
) -> None:
    """Make a key and print its secret, which cannot be read again."""
    expires_at = datetime.now(UTC) + timedelta(days=days) if days else None
    with _plain_errors(), _database(_database_url()) as database, database.transaction() as session:
        if get_project(session, project) is None:
            _fail(f"There is no project {project}.", 1)
        try:
            key, secret = create_key(session, project, label, scope or [EVERY_SCOPE], role, expires_at)
        except ValueError as error:
            _fail(str(error), 1)
    typer.echo(f"Key {key.id} of project {project}, shown only now: {secret}")


@keys_app.command("list")
def keys_list(project: ProjectId = 1) -> None:
    """Every key of a project, without its secret."""
    with _plain_errors(), _database(_database_url()) as database, database.read() as session:
        rows = [
            (
                key.id,
                key.label,
                key.secret_hint,
                " ".join(key.scopes),
                key.role,
                key.created_at,
                key.expires_at,
                key.revoked_at,
            )
            for key in list_keys(session, project)
        ]
    _print_table(("id", "label", "begins", "scopes", "role", "created", "expires", "revoked"), rows)


@keys_app.command("revoke")
def keys_revoke(key_id: uuid.UUID, project: ProjectId = 1) -> None:
    """From now on nobody gets in with the key."""
    with _plain_errors(), _database(_database_url()) as database, database.transaction() as session:
        if not revoke_key(session, project, key_id):
            _fail(f"Project {project} has no valid key {key_id}.", 1)
    typer.echo(f"Key {key_id} is revoked.")


@projects_app.command("create")
def projects_create(name: str) -> None:
    """Make a project."""
    with _plain_errors(), _database(_database_url()) as database, database.transaction() as session:
        number = create_project(session, name).id
    typer.echo(f"Project {number} is made. Give it a key: syncline keys create LABEL --project {number}")


@projects_app.command("list")
def projects_list(limit: Annotated[int, typer.Option(min=1, max=1000)] = 100, offset: int = 0) -> None:
    """Every project, newest first."""
    with _plain_errors(), _database(_database_url()) as database, database.read() as session:
        rows = [(found.id, found.name, found.created_at) for found in list_projects(session, limit, offset)]
    _print_table(("id", "name", "created"), rows)


@projects_app.command("delete")
def projects_delete(project: int, yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False) -> None:
    """Delete a project with its sources, its keys and its data in the lake."""
    if not yes:
        typer.confirm(f"Delete project {project} with all its sources and their data?", abort=True)
    with _plain_errors(), _database(_database_url()) as database, database.transaction() as session:
        if delete_project(session, project) is None:
            _fail(f"There is no project {project}.", 1)
    typer.echo(f"Project {project} is deleted; its data is being erased.")


def _local_api_url() -> str:
    """Where ``syncline up`` of this home serves, or would."""
    settings = _settings()
    port = settings.api_port or load_ports(settings.home).get("api", DEFAULT_API_PORT)
    return f"http://127.0.0.1:{port}"


def _settings() -> Settings:
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = "SYNCLINE_" + "_".join(str(part) for part in first["loc"]).upper()
        _fail(f"The setting {name} is not usable: {first['msg']}.", 2)


def _production_settings() -> Settings:
    """One part alone gets nothing embedded: where everything is must be set."""
    settings = _settings()
    _require(settings, "encryption_keys", "database_url", "temporal_address", "lake_url")
    return settings


def _require(settings: Settings, *names: str) -> None:
    values = {name: getattr(settings, name) for name in names}
    missing = [f"SYNCLINE_{name.upper()}" for name, value in values.items() if not value]
    if missing:
        _fail(f"{' and '.join(missing)} must be set. On one machine, `syncline up` needs no settings.", 2)


def _database_url() -> str:
    """The configured metadata database, or the one that ``syncline up`` made in the home."""
    settings = _settings()
    if settings.database_url:
        return settings.database_url.get_secret_value()
    embedded = settings.home.resolve() / "metadata.db"
    if not embedded.exists():
        _fail(f"SYNCLINE_DATABASE_URL is not set, and {embedded} does not exist: start `syncline up` first.", 2)
    return f"sqlite:///{embedded}"


@contextmanager
def _database(url: str) -> Iterator[Database]:
    database = Database(url)
    try:
        yield database
    finally:
        database.dispose()


@contextmanager
def _plain_errors() -> Iterator[None]:
    """What an administrator can act on becomes one sentence; anything else is a fault of ours and keeps its trace."""
    try:
        yield
    except LocalError as error:
        _fail(str(error), error.exit_code)
    except MetadataError as error:
        _fail(str(error), 1)
    except SQLAlchemyError as error:
        _fail(f"The metadata database does not do its work: {getattr(error, 'orig', None) or error}", 1)


def _fail(sentence: str, code: int) -> NoReturn:
    typer.echo(sentence, err=True)
    raise typer.Exit(code)


def _print_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Aligned columns that a shell can cut as well."""
    lines = [tuple(columns), *(tuple(map(_as_text, row)) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        typer.echo("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())


def _as_text(value: object) -> str:
    if value is None:
        return "-"
    return value.strftime("%Y-%m-%d %H:%M:%SZ") if isinstance(value, datetime) else str(value)


def _start_logging(settings: Settings) -> None:
    """One line for each event on stdout, ours and the libraries' alike."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
    ]
    json_lines = settings.log_format == "json"
    renderer = structlog.processors.JSONRenderer() if json_lines else structlog.dev.ConsoleRenderer()
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler], force=True)
