"""From a form to a source that answers: its fields, logins, tables, and where it may not be."""

import pickle
from collections.abc import Callable
from typing import Any

import pytest

from connectors.base import ReadRequest
from connectors.errors import ConfigurationError, SourceError
from connectors.registry import all_connectors
from connectors.rest.connector import DeclaredConnector
from tests.connectors.conformance.subject import Subject
from tests.connectors.conformance.subjects import SUBJECTS

COLUMNS = {"id": "integer", "n": "integer", "at": "time", "t": "text"}
KINDS = {"integer": "integer", "time": "timestamp", "text": "text"}


def ways_in(subject: Subject) -> list[Callable[[Any], Any]]:
    """Each way to reach the source of a configuration."""
    found = subject.connector
    return [
        found.validate,
        found.discover,
        lambda config: found.read(config, ReadRequest("t", "conformance-read")).__enter__(),
    ]


def test_every_source_type_has_a_subject() -> None:
    """Those that are declared are held to ``tests/connectors/rest/test_providers.py``, and what is never read to
    ``tests/connectors/webhooks``.
    """
    read = [each for each in all_connectors() if each.sync_types != ("webhook",)]
    written = {each.source_type for each in read if not isinstance(each, DeclaredConnector)}
    assert set(SUBJECTS) >= written, "add a line to subjects.py"


def test_what_a_connector_says_of_itself(subject: Subject) -> None:
    found = subject.connector
    assert found.form.name == found.source_type == subject.source_type
    names = [field.name for field in found.form.fields]
    assert len(set(names)) == len(names)
    assert set(subject.inputs()) <= set(names)
    assert found.sync_types
    assert set(found.sync_types) <= {"full_refresh", "incremental", "append", "webhook", "cdc"}


def test_a_configuration_survives_a_pickle_and_shows_no_secret(subject: Subject) -> None:
    config = subject.config(**subject.confided())
    assert pickle.loads(pickle.dumps(config)) == config  # noqa: S301
    assert subject.secret not in repr(config)
    hash(config)


def test_malformed_inputs_name_their_field(subject: Subject) -> None:
    fields = {field.name for field in subject.connector.form.fields}
    for changes, attr in subject.malformed():
        with pytest.raises(ConfigurationError) as caught:
            subject.config(**changes)
        assert caught.value.attr == attr
        assert attr in fields
        check_sentence(caught.value, subject)


@pytest.mark.parametrize("value", [[], {"a": 1}, "a\0b", True, "x" * 20_000])
def test_no_field_takes_everything(subject: Subject, value: Any) -> None:
    for field in subject.connector.form.fields:
        found: list[ConfigurationError] = []
        try:
            subject.config(**{field.name: value})
        except ConfigurationError as error:
            found.append(error)
        for error in found:
            check_sentence(error, subject)
        assert {error.attr for error in found} <= {each.name for each in subject.connector.form.fields}


def test_a_source_that_answers(subject: Subject) -> None:
    subject.create("t", COLUMNS, [(1, 1, None, "a")])
    assert subject.connector.validate(subject.config()) is None


def test_each_way_to_be_turned_down_has_its_sentence(subject: Subject) -> None:
    subject.create("t", COLUMNS, [(1, 1, None, "a")])
    for changes, expected in subject.unwelcome():
        with pytest.raises(expected) as caught:
            subject.connector.validate(subject.config(**changes))
        check_sentence(caught.value, subject)


def test_what_the_surroundings_forbid_is_refused_on_every_way_in(subject: Subject) -> None:
    subject.create("t", COLUMNS, [(1, 1, None, "a")])
    for way in ways_in(subject):
        way(subject.config())
        with pytest.raises(ConfigurationError) as caught:
            way(subject.connector.parse_config(subject.inputs(), subject.closed))
        assert caught.value.attr in {field.name for field in subject.connector.form.fields}
        check_sentence(caught.value, subject)


def test_tables_are_found_by_names_that_stay(subject: Subject) -> None:
    for name in ("banana", "apple", "cherry"):
        subject.create(name, COLUMNS, [(1, 2, None, "a")])
    found = subject.connector.discover(subject.config())
    assert [table.name for table in found] == ["apple", "banana", "cherry"]
    assert subject.connector.discover(subject.config()) == found
    assert subject.connector.discover(subject.config(), ["cherry", "nothing", "apple"]) == [found[0], found[2]]
    subject.drop("banana")
    assert subject.connector.discover(subject.config()) == [found[0], found[2]]


def test_columns_and_cursors_are_found(subject: Subject) -> None:
    subject.create("t", COLUMNS, [(1, 2, None, "a")])
    (table,) = subject.connector.discover(subject.config())
    kinds = {column.name: column.kind for column in table.columns if column.name not in subject.own_columns}
    expected = {**KINDS, "time": subject.time_kind}
    assert kinds == {name: expected[kind] for name, kind in COLUMNS.items()}
    names = {column.name for column in table.columns}
    assert set(table.primary_key) <= names
    assert all(set(key) <= names for key in table.unique_keys)
    for kind, field_type in (("integer", "integer"), ("time", "timestamp")):
        field = subject.cursor(kind)
        (table,) = subject.connector.discover(subject.config())
        cursors = {each.field: each.field_type for each in table.incremental_fields}
        assert set(cursors) <= names
        assert field is None or cursors[field] == field_type


def test_nobody_minds_the_end_of_a_read_that_is_not_there(subject: Subject) -> None:
    subject.create("t", COLUMNS, [])
    subject.connector.cancel(subject.config(), "no-such-read")


def check_sentence(error: SourceError, subject: Subject) -> None:
    """Every error is a sentence without secrets, and travels between processes."""
    assert error.message.endswith("."), error.message
    assert "\n" not in error.message
    assert "Error" not in error.message, "a driver's words"
    assert subject.secret not in f"{error.message} {error!r}"
    again = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert (type(again), again.message, again.attr) == (type(error), error.message, error.attr)
