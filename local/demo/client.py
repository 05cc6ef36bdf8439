"""The REST API as a user of the demo calls it."""

from dataclasses import dataclass, field
from datetime import datetime
from types import TracebackType
from typing import Any

import httpx2

Json = dict[str, Any]


class DemoError(Exception):
    """The demo cannot go on, or found a difference. The message says what happened."""


@dataclass
class DemoClient:
    """One project of one API; closes with its ``with`` block."""

    api_url: str
    api_key: str
    project_id: int = 1
    _http: httpx2.Client = field(init=False)

    def __post_init__(self) -> None:
        self._http = httpx2.Client(
            base_url=f"{self.api_url}/api/projects/{self.project_id}",
            headers={"Authorization": f"Bearer {self.api_key}"},
            timeout=60,
        )

    def __enter__(self) -> "DemoClient":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def create_source(self, prefix: str, connection: Json, schemas: list[Json]) -> Json:
        """A Postgres source; its enabled schemas start to sync at once."""
        body = {"source_type": "Postgres", "prefix": prefix, "payload": {**connection, "schemas": schemas}}
        created: Json = self._call("POST", "/external_data_sources/", json=body)
        return created

    def delete_sources(self, prefix: str) -> None:
        """Those of an earlier time, with their tables."""
        for source in self._call("GET", "/external_data_sources/", params={"search": prefix})["results"]:
            if source["prefix"] == prefix:
                self._call("DELETE", f"/external_data_sources/{source['id']}/")

    def jobs(self, source: Json, after: datetime | None = None, limit: int = 500) -> list[Json]:
        """Newest first; those that began ``after`` a moment."""
        wanted = {"limit": limit, **({"after": after.isoformat()} if after else {})}
        found: list[Json] = self._call("GET", f"/external_data_sources/{source['id']}/jobs/", params=wanted)
        return found

    def schema(self, schema_id: str) -> Json:
        found: Json = self._call("GET", f"/external_data_schemas/{schema_id}/")
        return found

    def reload(self, schema_id: str) -> None:
        self._call("POST", f"/external_data_schemas/{schema_id}/reload/")

    def reload_source(self, source: Json) -> None:
        """All of its enabled schemas."""
        self._call("POST", f"/external_data_sources/{source['id']}/reload/")

    def change_schema(self, schema_id: str, **settings: Any) -> None:
        self._call("PATCH", f"/external_data_schemas/{schema_id}/", json=settings)

    def enable_capture(self, source: Json, **settings: Any) -> None:
        """Change data capture; its tables are those that are set to it."""
        self._call("POST", f"/external_data_sources/{source['id']}/enable_cdc/", json=settings)

    def change_capture(self, source: Json, **settings: Any) -> None:
        self._call("POST", f"/external_data_sources/{source['id']}/update_cdc_settings/", json=settings)

    def capture_status(self, source: Json) -> Json:
        found: Json = self._call("GET", f"/external_data_sources/{source['id']}/cdc_status/")
        return found

    def _call(self, method: str, path: str, **how: Any) -> Any:
        try:
            response = self._http.request(method, path, **how)
        except httpx2.TransportError as error:
            raise DemoError(f"The API did not answer {method} {path}: {error}.") from error
        if response.is_error:
            raise DemoError(f"{method} {path} was answered with {response.status_code}: {response.text}")
        return response.json() if response.content else None
