"""How a change of a connection's inputs merges over those that are stored."""

from typing import Any

import pytest

from api.errors import InvalidError
from api.inputs import merged_inputs
from connectors.registry import connector

STORED = {"host": "db", "database": "shop", "user": "u", "password": "p"}
TUNNEL = {"ssh_host": "bastion", "ssh_port": 2222, "ssh_user": "s", "ssh_private_key": "k", "ssh_host_key": "SHA256:x"}


def merged(given: dict[str, Any]) -> dict[str, Any]:
    return merged_inputs(connector("Postgres"), {**STORED, **TUNNEL}, given)


@pytest.mark.parametrize("cleared", [None, ""])
def test_a_tunnel_that_goes_takes_its_secrets_along(cleared: str | None) -> None:
    """None of them is asked for again; what goes to the database by another way is."""
    without = merged({"ssh_host": cleared, "password": "again"})
    assert {name: value for name, value in without.items() if value != ""} == {**STORED, "password": "again"}
    with pytest.raises(InvalidError) as caught:
        merged({"ssh_host": cleared})
    assert caught.value.attr == "job_inputs.password"


def test_a_tunnel_that_leads_elsewhere_wants_all_secrets_again() -> None:
    given: dict[str, Any] = {"ssh_host": "other", "password": "again"}
    with pytest.raises(InvalidError) as caught:
        merged(given)
    assert caught.value.attr == "job_inputs.ssh_private_key"
    assert merged({**given, "ssh_private_key": "new"})["ssh_private_key"] == "new"
    assert merged({"ssh_user": "t", "ssh_private_key": ""}) == {**STORED, **TUNNEL, "ssh_user": "t"}
