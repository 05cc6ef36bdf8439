"""Without the metadata database: calls say so, and work again when it is back."""

from pathlib import Path

from metadata.migrate import migrate
from tests.api.conftest import running_api
from tests.kit.servers import RunningTemporal, run_postgres


def test_a_database_that_is_killed_and_comes_back(temporal: RunningTemporal, tmp_path: Path) -> None:
    with run_postgres(18) as server:
        url = server.dsn(server.create_database())
        migrate(url)
        with running_api(url, temporal.address, tmp_path / "lake") as api:
            api("GET", "external_data_sources/")
            server.kill()
            for method, path in (("GET", "external_data_sources/"), ("POST", "external_data_sources/")):
                error = api.refused(method, path, None, 503, json={})
                assert error["type"] == "upstream_error"
                assert str(server.port) not in error["detail"]
            assert api.client.get("/healthz").status_code == 200
            assert api.client.get("/readyz").json()["checks"]["database"] == "unavailable"
            server.start()
            assert api("GET", "external_data_sources/")["count"] == 0
