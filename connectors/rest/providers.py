"""The source types that files of ``connectors/rest/sources`` declare."""

import tomllib
from importlib.resources import files

from connectors.base import FormField, SourceForm
from connectors.rest.connector import DeclaredConnector
from connectors.rest.webhooks import ReceivingConnector


def declared_connectors() -> list[DeclaredConnector]:
    """One for each file, in the order of their names."""
    found = sorted(files("connectors.rest.sources").iterdir(), key=lambda each: each.name)
    return [connector_of(each.read_text("utf-8")) for each in found if each.name.endswith(".toml")]


def connector_of(text: str) -> DeclaredConnector:
    """The one that a file declares."""
    given = tomllib.loads(text)
    fields = tuple(FormField(**{**each, "options": tuple(each.get("options", ()))}) for each in given.pop("inputs"))
    name, label = given.pop("source_type"), given.pop("label")
    form = SourceForm(name, label, given.pop("caption"), given.pop("docs_url"), fields)
    kind = ReceivingConnector if "webhooks" in given else DeclaredConnector
    return kind(form, given)
