"""A source whose refresh token is good once: tables that are copied at the same time, and the checks before them."""

import secrets

from tests.integration.test_changes import sync_all, table
from tests.kit.compare import lake_frame
from tests.kit.platform import Platform, named
from tests.kit.servers import RunningStore
from tests.providers.rotating import CLIENT, Rotating
from tests.providers.server import running

TABLES = ("books", "novels", "poems")


def test_tables_of_a_login_that_rotates(platform: Platform, object_store: RunningStore) -> None:
    with running() as provider:
        login = Rotating(provider)
        given = login.given(*TABLES)
        body = {"source_type": "RestApi", "resource": "books", **given}
        platform.call("POST", "/external_data_sources/preview_resource/", body)
        schemas = [{"name": name, "should_sync": True, "sync_type": "full_refresh"} for name in TABLES]
        body = {
            "source_type": "RestApi",
            "prefix": f"r{secrets.token_hex(3)}_",
            "payload": {**given, "schemas": schemas},
        }
        source = platform.call("POST", "/external_data_sources/", body, status=201)
        for name in TABLES:
            (job,) = platform.wait_for_jobs(source, named(source, name))
            assert (job["status"], job["latest_error"]) == ("Completed", None), name
        login.expire()
        jobs = sync_all(platform, source, list(TABLES))
        assert {job["status"] for job in jobs.values()} == {"Completed"}
        for name in TABLES:
            frame = lake_frame(table(platform, source, name)["url_pattern"], object_store).sort("id")
            assert [(row["id"], row["title"]) for row in frame.to_dicts()] == [("1", "A"), ("2", "B")]

        login.refresh_token = "typed"
        login.expire()
        changes = {"job_inputs": {"refresh_token": "typed"}}
        platform.call("PATCH", f"/external_data_sources/{source['id']}/", changes)
        assert platform.sync(source, named(source, "poems"))["status"] == "Completed"
        assert [each["refresh_token"] for each in login.asked] == ["refresh-0", "refresh-1", "typed"]
        for secret in (
            "refresh-",
            "access-",
            CLIENT["client_secret"],
            platform.environment["SYNCLINE_ENCRYPTION_KEYS"],
        ):
            assert secret not in platform.logs()
