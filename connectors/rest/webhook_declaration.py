"""What a declaration says of a provider's events: how they are told apart, and what each says of a table. Pure."""

from collections.abc import Mapping
from functools import cached_property
from typing import Literal, Self

from pydantic import Field, model_validator

from connectors.rest.terms import Model, Name, PathExpression, Template


class Ask(Model):
    """Events that change an object without showing it."""

    types: tuple[str, ...] = Field(min_length=1)
    record: Mapping[Name, PathExpression] = Field(min_length=1)
    """Members that ``path`` has in braces, with where a body has their values."""


class TableEvents(Model):
    """The events that are about a table. Where types have an action, one without it stands for all of its actions that
    are not named themselves.
    """

    upserts: tuple[str, ...] = ()
    """Types of events that show the object as it became, with all that a read has of it."""
    deletes: tuple[str, ...] = ()
    """And of those after which it is gone."""
    record: PathExpression | None = None
    """Where a body has the object."""
    where: PathExpression | None = None
    """An object for which this is not true is not in the table: no more, if it was."""
    without: tuple[Name, ...] = ()
    """Members of the object that a read of the table does not have."""
    path: Template | None = None
    """Where the API gives the object as it is now, by its own members, its parent's and the inputs."""
    asks: tuple[Ask, ...] = ()

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if not self.upserts and not self.asks:
            raise ValueError("must have upserts or asks: events after which the object is another")
        if twice := next((each for each in self.upserts if each in self.deletes), None):
            raise ValueError(f"{twice} is in upserts and in deletes")
        if self.asks and self.path is None:
            raise ValueError("asks needs path: where the API gives the object")
        return self

    @property
    def types(self) -> tuple[str, ...]:
        return (*self.upserts, *self.deletes, *(each for ask in self.asks for each in ask.types))


class WebhookDeclaration(Model):
    """How a provider's events come."""

    provider: Literal["stripe", "github"]
    """By whose rules they are signed, and whose webhooks are managed by its API."""
    scope: str
    """What the credentials need for that, in the provider's words."""
    type: PathExpression | None = None
    """Where a body has the type of its event."""
    type_header: Name | None = None
    """Or the header that has it. Names of headers are in lower case."""
    action: PathExpression | None = None
    """Where a body has what follows the type behind a dot: the provider is asked for what stands before it."""
    id: PathExpression | None = None
    id_header: Name | None = None
    order: PathExpression | None = None
    """Where a body has when the event was: seconds since 1970, or a time as ISO 8601."""
    record_order: PathExpression | None = None
    """Or where the object has when it became what it is."""
    record: PathExpression | None = None
    """Where a body has the object, if the table does not say otherwise."""
    gone: PathExpression | None = None
    """Where an object that is asked for by itself says that it was deleted."""
    parents: Mapping[Name, PathExpression] = Field(default_factory=dict)
    """Where a body has the object of such a resource, whose children the events are about."""
    tables: Mapping[Name, TableEvents] = Field(min_length=1)
    """Resources that events are about."""

    @cached_property
    def tables_by_type(self) -> Mapping[str, tuple[str, ...]]:
        """Which tables name such a type."""
        found: dict[str, tuple[str, ...]] = {}
        for name, events in self.tables.items():
            for each in dict.fromkeys(events.types):
                found[each] = (*found.get(each, ()), name)
        return found

    @model_validator(mode="after")
    def _told_apart(self) -> Self:
        if (self.type is None) == (self.type_header is None):
            raise ValueError("must have one of type and type_header: where an event's type is found")
        if (self.order is None) == (self.record_order is None):
            raise ValueError("must have one of order and record_order: where it is found what is newer")
        return self
