"""The REST API as a user of the benchmark calls it."""

from collections.abc import Sequence

from local.demo.client import DemoClient, Json


class BenchClient(DemoClient):
    """The demo's, for every type of source."""

    def create(self, source_type: str, prefix: str, inputs: Json, schemas: Sequence[Json]) -> Json:
        """A source; its enabled schemas start to sync at once."""
        body = {"source_type": source_type, "prefix": prefix, "payload": {**inputs, "schemas": list(schemas)}}
        created: Json = self._call("POST", "/external_data_sources/", json=body)
        return created
