"""A table of each provider that takes several pages, its copies, and how they are held against what there is."""

import json
from collections.abc import Collection
from typing import Any

import pytest

from lake.storage import LakeStore
from tests.connectors.rest.copies import Copied, differences
from tests.connectors.rest.test_providers import described
from tests.providers.player import Player

TABLES = {
    "Ashby": "candidates",
    "Chargebee": "customers",
    "GitHub": "issues",
    "HubSpot": "deals",
    "Intercom": "conversations",
    "Linear": "issues",
    "Stripe": "customers",
    "Zendesk": "organizations",
}
"""One of each provider, of several pages, and incremental."""
MODES = ("full_refresh", "incremental")
AHEAD = 1
"""Pages of a batch that may have been asked for in vain when it ends."""


def copied(store: LakeStore, player: Player, mode: str) -> Copied:
    return Copied(store, player.source_type, described(player, TABLES[player.source_type]), mode)


def check(copy: Copied, player: Player) -> None:
    table = copy.table.name
    objects = {player.key(table, each): [each] for each in player.objects[table]}
    assert differences(copy.rows(), objects, lambda row: player.key(table, row)) == []


def asked_again(player: Player, spoilt: Collection[int]) -> int:
    """How many whole answers with objects of the table were asked for once more. ``spoilt``: the others."""
    whole = [
        json.dumps([asked.path, asked.query, asked.body])
        for number, asked in enumerate(player.provider.asked, 1)
        if number not in spoilt and not asked.path.endswith("/repos")
    ]
    return len(whole) - len(set(whole))


def rarely(*cases: Any) -> list[Any]:
    """All but the last one are in the proofs that take longer."""
    *others, last = (case if isinstance(case, tuple) else (case,) for case in cases)
    return [*(pytest.param(*each, marks=pytest.mark.long) for each in others), pytest.param(*last)]
