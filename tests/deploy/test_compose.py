"""The production set-up, judged by its file: no engine runs here."""

import json

import pytest
from compose_spec import PyCompose

from tests.deploy.compose_file import ENV_EXAMPLE, MissingVariableError, load_compose, read_env_file

SECRETS = {
    "METADATA_DB_PASSWORD": "metadata-password",
    "TEMPORAL_DB_PASSWORD": "temporal-password",
    "SYNCLINE_ENCRYPTION_KEYS": "encryption-key",
    "SYNCLINE_BOOTSTRAP_API_KEY": "bootstrap-key",
    "SYNCLINE_S3_ACCESS_KEY_ID": "access-key",
    "SYNCLINE_S3_SECRET_ACCESS_KEY": "secret-key",
}
STORE_KEYS = {"SYNCLINE_S3_ACCESS_KEY_ID", "SYNCLINE_S3_SECRET_ACCESS_KEY"}
ONE_SHOTS = {"migrate", "temporal-schema", "temporal-namespace"}


def filled_in(**changes: str) -> dict[str, str]:
    return read_env_file(ENV_EXAMPLE.read_text(), {**SECRETS, **changes})


def test_the_file_keeps_to_the_compose_specification() -> None:
    PyCompose.from_json(json.dumps(load_compose(filled_in())))


def test_the_parser_would_notice_a_mistake() -> None:
    document = load_compose(filled_in())
    document["services"]["api"]["depends_on"]["migrate"]["condition"] = "service_done"
    with pytest.raises(ValueError, match="service_done"):
        PyCompose.from_json(json.dumps(document))


def test_env_example_has_no_secret_and_nothing_starts_without_them() -> None:
    variables = read_env_file(ENV_EXAMPLE.read_text(), {})
    assert {name: variables[name] for name in SECRETS} == dict.fromkeys(SECRETS, "")
    for name in set(SECRETS) - STORE_KEYS:
        with pytest.raises(MissingVariableError, match=f"set {name} in deploy/.env"):
            load_compose(filled_in(**{name: ""}))


def test_the_object_store_starts_with_keys_only() -> None:
    script = load_compose(filled_in())["services"]["object-store"]["command"][0]
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        assert script.index(f': "${{{variable}:?') < script.index("exec weed server")


def test_every_secret_comes_from_outside() -> None:
    """Given values that occur nowhere else, no password stands in the file itself."""
    for name, service in load_compose(filled_in())["services"].items():
        for variable, value in service.get("environment", {}).items():
            if any(word in variable for word in ("PASSWORD", "PWD", "SECRET", "API_KEY", "ENCRYPTION")):
                assert value in SECRETS.values(), (name, variable)


def test_images_are_pinned_by_version() -> None:
    for name, service in load_compose(filled_in())["services"].items():
        tag = service["image"].rpartition(":")[2]
        assert tag[0].isdigit(), f"{name} runs {service['image']}"
        assert "." in tag, f"{name} runs {service['image']}"


def test_everything_referred_to_exists() -> None:
    document = load_compose(filled_in())
    services = document["services"]
    for name, service in services.items():
        assert set(service.get("depends_on", {})) <= set(services), name
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            assert source in document["volumes"] or (ENV_EXAMPLE.parent / source).is_file(), volume


def test_servers_restart_and_report_their_health_and_one_shots_end() -> None:
    for name, service in load_compose(filled_in())["services"].items():
        if name in ONE_SHOTS:
            assert service["restart"] == "on-failure", name
        else:
            assert service["restart"] == "unless-stopped", name
            assert service["healthcheck"]["test"], name


def test_api_and_worker_wait_for_the_migration_and_for_their_servers() -> None:
    services = load_compose(filled_in())["services"]
    assert services["migrate"]["depends_on"]["metadata-db"]["condition"] == "service_healthy"
    for name in ("api", "worker"):
        waits = {other: how["condition"] for other, how in services[name]["depends_on"].items()}
        assert waits == {
            "migrate": "service_completed_successfully",
            "temporal-namespace": "service_completed_successfully",
            "object-store": "service_healthy",
        }


def test_only_the_api_and_the_temporal_ui_are_published_and_to_this_machine_alone() -> None:
    services = load_compose(filled_in())["services"]
    published = {name: service["ports"] for name, service in services.items() if "ports" in service}
    assert set(published) == {"api", "temporal-ui"}
    assert all(port.startswith("127.0.0.1:") for ports in published.values() for port in ports)


def test_aws_takes_the_place_of_the_bundled_store() -> None:
    """Its lines deleted from the env file, no key and no endpoint reaches the worker."""
    lines = ENV_EXAMPLE.read_text().splitlines()
    without = ("COMPOSE_PROFILES=", "SYNCLINE_S3_ENDPOINT=", *(f"{key}=" for key in STORE_KEYS))
    text = "\n".join(line for line in lines if not line.startswith(without))
    given = {name: value for name, value in SECRETS.items() if name not in STORE_KEYS}
    services = load_compose(read_env_file(text, {**given, "SYNCLINE_LAKE_URL": "s3://my-bucket/lake"}))["services"]
    passed = services["worker"]["environment"]
    assert passed["SYNCLINE_LAKE_URL"] == "s3://my-bucket/lake"
    assert not {name for name in passed if name in STORE_KEYS or name == "SYNCLINE_S3_ENDPOINT"}
    assert services["object-store"]["profiles"] == ["object-store"]
    assert services["worker"]["depends_on"]["object-store"]["required"] is False
