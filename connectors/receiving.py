"""The seam for sources that tell of changes by webhook: what such a connector does beside ``connectors.base``.

An event tells of objects of some tables. Events come late, twice and out of order: what is newer is known by their
``order``, and, where that is the same for two of them, by asking the provider for the object as it is now.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from connectors.base import Connector, FormField, ReadRequest, TableRead

Record = Mapping[str, Any]
"""An object as the provider's API gives it, parsed by ``connectors.inference.texts``: numbers keep their digits."""

ORDER = "_sync_order"
"""The last column of a read that was asked for it (``ReadRequest.ordered``), a whole number: how new the row is."""

ALL_EVENTS = "*"
"""In place of types of events: every one."""

Reason = Literal["unsigned", "malformed_signature", "wrong_signature", "too_old", "malformed_body"]


class RefusedError(Exception):
    """A request that is not, or cannot be shown to be, an event of the provider. The text is for who sent it."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True)
class Received:
    """A request as it came. Names of headers are in lower case; ``at``: seconds since the epoch."""

    headers: Mapping[str, str]
    body: bytes
    at: float


@dataclass(frozen=True)
class Delivery:
    """A request that is an event of the provider."""

    event_type: str
    """The provider's own name for it, such as ``customer.updated``."""
    tables: tuple[str, ...]
    """Those that it is about, whether they are copied or not; none where nothing is made of such events."""
    event_id: str | None = None


@dataclass(frozen=True)
class ObjectChange:
    """What an event says of one object."""

    record: Record
    """The whole object; of one that is gone at least its key."""
    order: int | None
    """Greater for what is newer: of a time, microseconds since the epoch. None where the event does not say, and what
    came last counts."""
    deleted: bool = False
    whole: bool = True
    """Else the event names the object without showing it, and the record has just what ``current`` needs to ask for it,
    which may be less than its key. What that gives takes the change's place; where it gives None there is no change.
    """


@dataclass(frozen=True)
class Endpoint:
    """Where a provider sends events, by its own word."""

    url: str
    event_types: tuple[str, ...]
    """Or ``ALL_EVENTS``."""
    status: str
    description: str | None = None
    created_at: str | None = None
    """ISO 8601."""


@dataclass(frozen=True)
class Registered:
    """``inputs``: values of the webhook's own fields that came with it, such as the signing secret; ``pending``: names
    of those that the user must give, or whose value the user must take to the provider.
    """

    inputs: Mapping[str, str] = field(default_factory=dict)
    pending: tuple[str, ...] = ()


@runtime_checkable
class Receiving(Connector, Protocol):
    """A connector whose sources can send events. ``inputs``: values of ``webhook_fields``, in the clear.

    Tables that events can be about say so when they are discovered (``DiscoveredTable.webhook``).
    """

    webhook_fields: tuple[FormField, ...]

    def receive(self, config: Any, inputs: Mapping[str, str], received: Received) -> Delivery:
        """Check a request's signature, on the raw body and in constant time, and its age, and see what it is about.

        Quick, and without a look at anything else. ``RefusedError``.
        """

    def changes(
        self, config: Any, table: str, event_type: str, body: bytes, event_id: str | None = None
    ) -> Sequence[ObjectChange]:
        """What a request that was received says of a table's objects; in order where it tells of one of them twice."""

    def rows(
        self, config: Any, request: ReadRequest, changes: Sequence[ObjectChange]
    ) -> AbstractContextManager[TableRead]:
        """The objects as rows, each once, in the types that a read would have given them; with their order, if asked
        for. None of them is gone. The request's row filters hold; its cursor and its state are of no account.
        """

    def current(self, config: Any, table: str, records: Sequence[Record]) -> Iterator[ObjectChange | None]:
        """For each object as it was known: how it is now, by the provider; None where the provider cannot be asked."""

    def event_types(self, config: Any, tables: Sequence[str]) -> tuple[str, ...]:
        """Which events the tables need."""

    def register(
        self, config: Any, url: str, event_types: Sequence[str], inputs: Mapping[str, str] | None = None
    ) -> Registered:
        """Have the provider send these events there; where it does already, those that are missing too.

        ``inputs``: those of the webhook as far as they are known. What is registered goes by them, and only what is new
        about them is answered: without its secret a webhook that is there already is made anew. A provider without an
        API for it has everything ``pending``.
        """

    def endpoint(self, config: Any, url: str) -> Endpoint | None:
        """What the provider knows of the address; None where nothing, or where it cannot be asked."""

    def unregister(self, config: Any, url: str) -> bool:
        """Have it send no more there. False where there is nobody to be asked, or it knew nothing of it."""


@runtime_checkable
class Resending(Receiving, Protocol):
    """A connector some of whose providers send again only where they are asked to."""

    def send_again(self, config: Any, url: str, since: float) -> int:
        """Have it send once more what it has sent since then (seconds since the epoch) and what had no answer, or one
        that asks to come later; how many events, not all of them at once. 0 where it does so by itself.
        """
