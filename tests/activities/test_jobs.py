"""What a run's settings mean for its reading, without a server."""

from dataclasses import replace
from typing import Any

import pytest

from activities.jobs import columns_of, filter_text
from activities.messages import Run

RUN = Run(1, "source", "schema", "Postgres", "orders", "orders", "1/orders", "job", 1, 1, "incremental", ["id"])
SMALL = {"column": "n", "op": "<", "value": 5}
NAMED = {"column": "v", "op": "in", "value": ["a", "b"]}


@pytest.mark.parametrize(
    ("settings", "columns"),
    [
        ({}, None),
        ({"enabled_columns": []}, ("id",)),
        ({"enabled_columns": [], "cursor_field": "at"}, ("at", "id")),
        ({"enabled_columns": ["v", "id", "a"], "cursor_field": "at"}, ("a", "at", "id", "v")),
        ({"enabled_columns": ["v"], "primary_key": []}, ("v",)),
    ],
)
def test_key_and_cursor_come_along_and_the_order_means_nothing(
    settings: dict[str, Any], columns: tuple[str, ...] | None
) -> None:
    assert columns_of(replace(RUN, **settings)) == columns


def test_the_same_conditions_are_the_same_filter() -> None:
    assert filter_text(RUN) == ""
    both = filter_text(replace(RUN, row_filter=[SMALL, NAMED]))
    assert both == filter_text(replace(RUN, row_filter=[dict(reversed(NAMED.items())), SMALL, SMALL]))
    assert (
        len({both, filter_text(replace(RUN, row_filter=[SMALL])), filter_text(replace(RUN, row_filter=[NAMED]))}) == 3
    )
