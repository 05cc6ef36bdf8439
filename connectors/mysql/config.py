"""The connection's fields: the form, and the frozen configuration that comes out."""

from collections.abc import Mapping
from typing import Any

from connectors.base import FormField, SourceForm
from connectors.servers import TLS_FIELDS, ServerConfig, texts_of
from connectors.surroundings import Surroundings
from connectors.tunnels import TUNNEL_FIELDS

DEFAULT_PORT = 3306

FORM = SourceForm(
    name="MySQL",
    label="MySQL or MariaDB",
    caption="Give host, database, user and password of an account that may SELECT what you want to copy.",
    docs_url="https://mariadb.com/kb/en/grant/",
    fields=(
        FormField("host", "Host", required=True, placeholder="db.example.com", decides_host=True),
        FormField("port", "Port", type="number", default=DEFAULT_PORT, decides_host=True),
        FormField("database", "Database", required=True),
        FormField("user", "User", required=True),
        FormField("password", "Password", type="password", secret=True),
        *TLS_FIELDS,
        *TUNNEL_FIELDS,
    ),
)


class MySqlConfig(ServerConfig):
    """Where a database of MySQL or MariaDB is and how to log in."""


def parse_config(inputs: Mapping[str, Any], surroundings: Surroundings) -> MySqlConfig:
    return MySqlConfig.of(texts_of(FORM, inputs), surroundings, default_port=DEFAULT_PORT)
