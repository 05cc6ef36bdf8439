"""Passes by a token of the API: what they bring, how long the token is kept, and what happens when it has ended."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from connectors.base import CursorRange
from connectors.errors import ConfigurationError, SourceError
from connectors.rest import reader
from connectors.rest.config import RestConfig
from lake.storage import LakeStore
from tests.connectors.rest.changes import RESOURCE, Changes, Copy, changed
from tests.connectors.rest.library import SIZE, Library, Read, read, read_all
from tests.providers.server import Reply

FIRST = CursorRange("made", include_nulls=True)
LATER = CursorRange("made", lower="1970-01-12T13:47:05.000000+00:00")
"""The greatest cursor of 25 books."""


@pytest.fixture
def changes(library: Library) -> Changes:
    made = Changes(library.provider)
    made.put(*range(1, 26), title="new")
    return made


@pytest.fixture
def config(library: Library) -> RestConfig:
    return library.config([RESOURCE])


@pytest.fixture
def in_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each batch is a page."""
    monkeypatch.setattr(reader, "BATCH_ROWS", 1)


def ids(found: Read) -> list[int]:
    return sorted(found.column("id"))


def test_a_pass_leaves_the_token_by_which_the_next_one_finds_what_changed(changes: Changes, config: RestConfig) -> None:
    first = read(config, "books", FIRST)
    assert (ids(first), first.report.more) == (list(range(1, 26)), False)
    assert changes.asked() == [(None, None), (None, "10"), (None, "20")]
    changes.put(3, 7, title="changed")
    changes.put(26)
    second = read(config, "books", LATER, state=first.report.state)
    assert ids(second) == [3, 7, 26], "an old cursor is no reason to leave out what the API says has changed"
    third = read(config, "books", LATER, state=second.report.state)
    assert (ids(third), changes.asked()) == ([], [("25", None), ("28", None)])
    assert third.report.state == second.report.state


def test_a_pass_that_brings_nothing_leaves_what_was(
    library: Library, changes: Changes, config: RestConfig, in_pages: None
) -> None:
    """However often the API gives another token. One that was cut off is ended all the same."""
    state = whole(config)
    changes.pass_by()
    quiet = read(config, "books", LATER, state=state)
    assert (ids(quiet), quiet.report.state) == ([], state)
    changes.put(*range(1, 12), title="changed")
    first = read(config, "books", LATER, state=state)
    assert first.report.more
    second = read(config, "books", LATER, state=first.report.state)
    assert (second.report.more, second.report.state in (state, first.report.state, None)) == (False, False)


def test_a_pass_by_a_token_goes_on_by_the_same_token(changes: Changes, config: RestConfig, in_pages: None) -> None:
    state = whole(config)
    changes.put(*range(1, 24), title="changed")
    changes.asked()
    found: list[Read] = []
    while not found or found[-1].report.more:
        found.append(read(config, "books", LATER, state=found[-1].report.state if found else state))
        changes.put(24, title="meanwhile")
    assert [len(each.column("id")) for each in found] == [10, 10, 4]
    assert changes.asked() == [("25", None), ("25", "10"), ("25", "20")]
    last = read(config, "books", LATER, state=found[-1].report.state)
    assert (ids(last), changes.asked()) == ([24], [("50", None)])


@pytest.mark.parametrize("status", [200, 400, 410])
def test_a_token_that_has_ended_leads_to_all_objects(changes: Changes, config: RestConfig, status: int) -> None:
    state = whole(config)
    changes.status = status
    changes.put(3)
    changes.end_tokens()
    changes.asked()
    found = read(config, "books", LATER, state=state)
    assert (ids(found), found.report.more) == (list(range(1, 26)), False)
    assert changes.asked() == [("25", None), (None, None), (None, "10"), (None, "20")]
    changes.oldest = 0
    assert ids(read(config, "books", LATER, state=found.report.state)) == []


def test_a_token_that_ends_within_a_pass_leads_to_all_objects_behind_what_came(
    changes: Changes, config: RestConfig
) -> None:
    state = whole(config)
    changes.put(*range(1, 16))
    changes.asked()
    changes.provider.before = lambda asked: changes.end_tokens() if "cursor" in asked.body else None
    found = read(config, "books", LATER, state=state)
    assert (ids(found), found.report.more) == (list(range(1, 11)), True)
    rest = read(config, "books", LATER, state=found.report.state)
    assert (ids(rest), rest.report.more) == (list(range(1, 26)), False)
    assert changes.asked() == [("25", None), ("25", "10"), (None, None), (None, "10"), (None, "20")]


def test_a_page_that_is_no_longer_known_begins_the_pass_anew_by_its_token(
    changes: Changes, config: RestConfig, in_pages: None
) -> None:
    state = whole(config)
    changes.put(*range(1, 16))
    first = read(config, "books", LATER, state=state)
    changes.asked()
    changes.provider.faults.append(Reply({"error": "no such page"}))
    assert ids(read(config, "books", LATER, state=first.report.state)) == list(range(1, 11))
    assert changes.asked() == [("25", "10"), ("25", None)]


def test_without_a_new_token_all_is_read_the_next_time(changes: Changes, config: RestConfig) -> None:
    changes.gives_tokens = False
    found = read(config, "books", FIRST)
    assert found.report.state is None
    assert ids(read(config, "books", LATER)) == list(range(1, 26)), "what is known is recognised"


@pytest.mark.parametrize("change", ["parameters", "key", "user"])
def test_a_token_of_other_settings_is_not_sent(library: Library, changes: Changes, change: str) -> None:
    inputs = {"api_key": "k1", "username": "me"}
    state = whole(library.config([RESOURCE], inputs=inputs))
    changes.asked()
    resource = {**RESOURCE, "params": {"deep": True}} if change == "parameters" else RESOURCE
    inputs |= {"key": {"api_key": "k2"}, "user": {"username": "you"}}.get(change, {})
    found = read(library.config([resource], inputs=inputs), "books", LATER, state=state)
    assert ids(found) == list(range(1, 26))
    assert {token for token, _ in changes.asked()} == {None}


def test_a_full_refresh_is_never_by_a_token(changes: Changes, config: RestConfig) -> None:
    found = read(config, "books", state=whole(config))
    assert (ids(found), found.report.state) == (list(range(1, 26)), None)


def test_other_failures_of_a_pass_by_a_token_are_failures(changes: Changes, config: RestConfig) -> None:
    state = whole(config)
    changes.provider.faults.append(Reply({"error": "broken"}))
    with pytest.raises(SourceError, match='failed: "broken"'):
        read(config, "books", LATER, state=state)
    changes.provider.faults.append(Reply({"error": "old"}))
    with pytest.raises(SourceError, match='failed: "old"'):
        read(config, "books", FIRST)


class TestRuns:
    """Through the lake, page by page, with tokens that end in between."""

    @pytest.fixture
    def memory(self) -> Iterator[None]:
        before = pa.default_memory_pool()
        yield
        pa.set_memory_pool(before)

    @pytest.mark.parametrize("mode", ["incremental", "append"])
    def test_each_change_comes_once(
        self,
        changes: Changes,
        config: RestConfig,
        memory: None,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        mode: str,
    ) -> None:
        monkeypatch.setattr(reader, "BATCH_ROWS", 2 * SIZE)
        copy = Copy(LakeStore(f"file://{tmp_path}/lake"), mode)
        states: list[tuple[int, str]] = [(number, "new") for number in range(1, 26)]
        copy.run(config)
        assert copy.rows() == states
        for title, numbers in (("a", [2, 30]), ("b", []), ("c", list(range(5, 20))), ("d", [2])):
            if title in ("c", "d"):
                changes.end_tokens()
            changes.put(*numbers, title=title)
            changes.pass_by()
            states += [(number, title) for number in numbers]
            before = copy.position()
            copy.run(config)
            assert copy.rows() == sorted(states if mode == "append" else dict(states).items())
            if numbers:
                assert f'"token":"{changes.token}"' in (copy.position().state or "")
            else:
                assert copy.position() == before, "a run without news commits nothing"
            changes.oldest = 0
        assert changes.asked()[-1] == (None, "20"), "the last run has read all of it, and recognised it"


@pytest.mark.parametrize(
    ("resource", "said"),
    [
        (changed(RESOURCE, param=None), "resources.0.incremental: a token needs param, which gets it"),
        (changed(RESOURCE, newest_first=True), "resources.0.incremental: a token goes without newest_first"),
        (changed(RESOURCE, token="a ||"), "resources.0.incremental.token: must be a JMESPath expression"),
        ({**RESOURCE, "expired": None}, "resources.0.expired: say where an answer has it that the token has ended"),
        (
            {**RESOURCE, "parent": {"resource": "shelves", "include": {"shelf": "id"}}},
            "resources.0.incremental.token: each parent has one of its own",
        ),
    ],
)
def test_declarations_that_are_wrong(library: Library, resource: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        library.config([resource, {"name": "shelves", "path": "shelves"}])
    assert said in caught.value.message


def whole(config: RestConfig) -> str:
    """The state behind a pass over all objects."""
    state = read_all(config, "books", FIRST)[-1].report.state
    assert state is not None
    return state
