"""Fulfilling what the outbox holds: each wish becomes calls to Temporal that may be repeated without doing more."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from temporalio.service import RPCError

from metadata.models import WishKind
from metadata.outbox import Errand, PendingWish
from scheduling.gateway import SyncGateway


@dataclass(frozen=True)
class Fulfilled:
    """How far an errand came."""

    schema_id: str
    wish_ids: tuple[str, ...]
    failure: str | None = None
    """Why the next wish could not be fulfilled; None where all were."""


async def fulfil(gateway: SyncGateway, errand: Errand) -> Fulfilled:
    """Do the wishes in their order, up to the first that Temporal does not do."""
    done: list[str] = []
    for wish in errand.wishes:
        try:
            await _CALLS[wish.kind](gateway, errand, wish)
        except (RPCError, RuntimeError, LookupError) as error:
            # A connection that cannot be made is a plain RuntimeError of the SDK.
            return Fulfilled(errand.schema_id, tuple(done), f"{wish.kind}: {error!r}")
        done.append(wish.id)
    return Fulfilled(errand.schema_id, tuple(done))


async def _schedule(gateway: SyncGateway, errand: Errand, _: PendingWish) -> None:
    if errand.intent is not None:
        await gateway.ensure_schedule(errand.intent)


async def _start(gateway: SyncGateway, errand: Errand, wish: PendingWish) -> None:
    """A schema that was disabled meanwhile is not started any more."""
    if errand.intent is None or not errand.intent.should_sync:
        return
    try:
        await gateway.trigger(errand.schema_id, wish.id)
    except LookupError:
        await gateway.ensure_schedule(errand.intent)
        await gateway.trigger(errand.schema_id, wish.id)


async def _cancel(gateway: SyncGateway, errand: Errand, _: PendingWish) -> None:
    """A schema that was enabled again meanwhile keeps its run."""
    if errand.intent is None or not errand.intent.should_sync:
        await gateway.cancel_run(errand.schema_id)


async def _resync(gateway: SyncGateway, errand: Errand, wish: PendingWish) -> None:
    """The raised generation is what makes a run rebuild: only one that began before it must be told."""
    if errand.intent is None or not errand.intent.should_sync or errand.rebuilding:
        return
    if not await gateway.resync_run(errand.schema_id):
        await _start(gateway, errand, wish)


async def _unschedule(gateway: SyncGateway, errand: Errand, _: PendingWish) -> None:
    if errand.intent is None:
        await gateway.delete_schedule(errand.schema_id)


async def _erase(gateway: SyncGateway, errand: Errand, _: PendingWish) -> None:
    await gateway.start_erasure(errand.project_id, errand.schema_id)


_CALLS: dict[WishKind, Callable[[SyncGateway, Errand, PendingWish], Awaitable[None]]] = {
    WishKind.SCHEDULE: _schedule,
    WishKind.START: _start,
    WishKind.CANCEL: _cancel,
    WishKind.RESYNC: _resync,
    WishKind.UNSCHEDULE: _unschedule,
    WishKind.ERASE: _erase,
}
