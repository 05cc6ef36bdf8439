"""Two projects of one installation, every call of the OpenAPI document, and all that the metadata holds."""

import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import sqlalchemy
from httpx2 import Response

from metadata.models import Job, JobStatus, LakeTable
from tests.api.conftest import Api, Shop

OWN_PROJECT = "/api/projects/{project_id}/"


@dataclass(frozen=True)
class Call:
    """One operation of the document."""

    method: str
    path: str
    operation: dict[str, Any]

    def __str__(self) -> str:
        return str(self.operation["operationId"])

    @property
    def objects(self) -> list[str]:
        """The parameters of its path that name something within a project."""
        return [name for name in re.findall(r"\{(\w+)\}", self.path) if name != "project_id"]

    @property
    def scopes(self) -> list[str]:
        return [scope for need in self.operation.get("security", ()) for part in need.values() for scope in part]

    @property
    def example(self) -> Any:
        """The body that the document shows; None where it takes none."""
        content = self.operation.get("requestBody", {}).get("content", {})
        return content.get("application/json", {}).get("example")


def calls_of(document: dict[str, Any]) -> list[Call]:
    return [
        Call(method.upper(), path, operation)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    ]


@dataclass(frozen=True)
class World:
    """A project with one of everything that a path can name, and a stranger's project that has nothing."""

    owner: Api
    stranger: Api
    reader: Api
    instance: Api
    shop: Shop
    source: dict[str, Any]
    api_key_id: str

    @property
    def schema(self) -> dict[str, Any]:
        """The schema of a table that has been loaded."""
        found: dict[str, Any] = self.source["schemas"][0]
        return found

    def url(self, call: Call, project_id: int | str, **ids: str) -> str:
        """The call's path with this world's objects in it, or with those that are given."""
        known = {"external_data_sources": self.source["id"], "external_data_schemas": self.schema["id"]}
        known["api_keys"] = self.api_key_id

        def value(match: re.Match[str]) -> str:
            collection, name = match.groups()
            if name == "project_id":
                return f"{collection}/{project_id}"
            return f"{collection}/{ids.get(name) or known[collection]}"

        return re.sub(r"(\w+)/\{(\w+)\}", value, call.path)

    def ask(self, call: Call, api: Api | None, url: str, **request: Any) -> Response:
        """The answer to the call with that client's key, or with none."""
        headers = {"Authorization": f"Bearer {api.key}"} if api else {}
        headers |= request.pop("headers", {})
        return self.owner.client.request(call.method, url, headers=headers, **request)

    @contextmanager
    def unchanged(self) -> Iterator[None]:
        """What happens here leaves every row of every table of the metadata as it was."""
        before = dump(self.owner)
        yield
        after = dump(self.owner)
        assert before == after, {
            name: sorted(set(before[name]) ^ set(after[name])) for name in before if before[name] != after[name]
        }


def dump(api: Api) -> dict[str, list[str]]:
    with api.database.read() as session:
        connection = session.connection()
        tables = sqlalchemy.MetaData()
        tables.reflect(connection)
        return {
            table.name: sorted(repr(tuple(row)) for row in connection.execute(sqlalchemy.select(table)))
            for table in tables.sorted_tables
        }


def loaded(api: Api, source: dict[str, Any]) -> None:
    """Give the source's first schema a table and a job, as a run would have."""
    schema = source["schemas"][0]
    with api.database.transaction() as session:
        session.add(
            LakeTable(
                project_id=api.project_id,
                schema_id=_id(schema),
                name="postgres_customer",
                path="nowhere",
                columns=[{"key": "id", "name": "id", "type": "integer", "nullable": False}],
            )
        )
        session.add(
            Job(
                project_id=api.project_id,
                source_id=_id(source),
                schema_id=_id(schema),
                status=JobStatus.COMPLETED,
                workflow_id=f"sync-{schema['id']}",
                workflow_run_id="1",
            )
        )


def _id(thing: dict[str, Any]) -> uuid.UUID:
    return uuid.UUID(thing["id"])


def bodies(call: Call) -> Iterator[dict[str, Any]]:
    """Requests that a client may come with: nothing, what the document shows, and rubbish."""
    yield {}
    if call.example is not None:
        yield {"json": call.example}
    yield {"content": b"{", "headers": {"Content-Type": "application/json"}}
    yield {"json": [1, 2]}
