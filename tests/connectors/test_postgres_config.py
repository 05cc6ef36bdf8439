import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.errors import ConfigurationError
from connectors.postgres.config import FORM, parse_config
from connectors.postgres.names import parse_name, public_name
from connectors.registry import UnknownSourceTypeError, all_connectors, connector
from connectors.surroundings import Surroundings

GOOD = {"host": "db.example.com", "database": "shop", "user": "reader", "password": "pa'ss \\w"}
NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=63)


def test_fields_become_a_configuration() -> None:
    config = parse_config(
        {**GOOD, "port": "6432", "schema": " sales ", "sslmode": "require", "unknown": 1}, Surroundings()
    )
    assert (config.host, config.port, config.schema, config.sslmode) == ("db.example.com", 6432, "sales", "require")
    assert config.password == "pa'ss \\w"
    assert pickle.loads(pickle.dumps(config)) == config  # noqa: S301
    assert "pa'ss" not in repr(config)
    assert parse_config(GOOD, Surroundings()).schema is None
    assert parse_config(GOOD, Surroundings()).port == 5432


def test_a_connection_string_stands_in_for_the_fields() -> None:
    url = "postgresql://reader:s%40crt@db.example.com:6432/shop?sslmode=verify-full"
    config = parse_config(
        {"connection_string": url, "schema": "public", "port": 5432, "sslmode": "prefer"}, Surroundings()
    )
    assert (config.host, config.port, config.database) == ("db.example.com", 6432, "shop")
    assert (config.user, config.password, config.sslmode) == ("reader", "s@crt", "verify-full")


@pytest.mark.parametrize(
    ("changes", "attr"),
    [
        ({"host": ""}, "host"),
        ({"host": "a,b"}, "host"),
        ({"host": "/var/run"}, "host"),
        ({"host": "user@host"}, "host"),
        ({"host": "x y"}, "host"),
        ({"host": ["x"]}, "host"),
        ({"database": None}, "database"),
        ({"user": " "}, "user"),
        ({"port": "0"}, "port"),
        ({"port": 65536}, "port"),
        ({"port": "5432 options=x"}, "port"),
        ({"port": True}, "port"),
        ({"password": "a\0b"}, "password"),
        ({"sslmode": "maybe"}, "sslmode"),
        ({"ssl_ca": "no certificate"}, "ssl_ca"),
        ({"connection_string": "postgresql://u:secret-pw@h:port/d"}, "port"),
        ({"connection_string": "secret-pw = = x"}, "connection_string"),
        ({"connection_string": "host=a hostaddr=10.0.0.1"}, "connection_string"),
        ({"connection_string": "service=secret-pw"}, "connection_string"),
        ({"connection_string": "host=other.example.com"}, "host"),
    ],
)
def test_a_malformed_field_is_named(changes: dict[str, Any], attr: str) -> None:
    inputs = {**GOOD, **changes}
    if "secret-pw" in str(changes):
        inputs = changes
    with pytest.raises(ConfigurationError) as caught:
        parse_config(inputs, Surroundings())
    assert caught.value.attr == attr
    assert "secret-pw" not in caught.value.message
    assert caught.value.message.endswith(".")


def test_the_form_marks_secrets_and_what_decides_the_host() -> None:
    secrets = {"password", "connection_string", "ssl_key", "ssh_password", "ssh_private_key", "ssh_passphrase"}
    deciding = {"host", "port", "connection_string", "ssh_host", "ssh_port"}
    assert {field.name for field in FORM.fields if field.secret} == secrets
    assert {field.name for field in FORM.fields if field.decides_host} == deciding


@given(NAMES, NAMES)
def test_a_public_name_leads_back_to_its_table(schema: str, table: str) -> None:
    assert parse_name(public_name(schema, table, None), None) == (schema, table)
    assert parse_name(public_name(schema, table, schema), schema) == (schema, table)


@pytest.mark.parametrize("name", ["", "orders", "a.b.c", '"a.b', 'a"b.c', ".", 'a.""'])
def test_no_table_has_such_a_name(name: str) -> None:
    assert parse_name(name, None) is None


def test_the_registry_names_what_it_knows() -> None:
    for each in all_connectors():
        assert connector(each.source_type) is each
    with pytest.raises(UnknownSourceTypeError, match=r"'MongoDB'.*Postgres"):
        connector("MongoDB")
