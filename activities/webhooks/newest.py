"""Which of many events, late, doubled and out of order, say how an object is now."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from connectors.inference.texts import value_text
from connectors.receiving import ObjectChange, Record
from lake.ledger import Ledger
from lake.orders import Key

Asked = Callable[[Sequence[Record]], Iterable[ObjectChange | None]]
"""How objects are now, by the provider (``connectors.receiving.Receiving.current``)."""


Held = Callable[[Mapping[Key, "Told"]], Collection[Key]]
"""Those whose stored rows are just what they tell: they were here before."""


@dataclass(frozen=True)
class Told:
    """A change of an object that has an order: where the event says none, when it came."""

    change: ObjectChange
    order: int
    in_doubt: bool = False
    """Another one, which differs, is just as new: only the provider knows which is the newer."""


def key_of(record: Record, primary_key: Sequence[str]) -> Key | None:
    """None where it has no value for one of them."""
    values = [record.get(name) for name in primary_key]
    return None if None in values else tuple(value_text(value) for value in values)


def newest(changes: Iterable[tuple[Key, ObjectChange, float]]) -> dict[Key, Told]:
    """For each object the newest change. ``changes`` in the order in which they came, with when that was (seconds)."""
    found: dict[Key, Told] = {}
    for key, change, came_at in changes:
        told = Told(change, int(came_at * 1_000_000) if change.order is None else change.order)
        known = found.get(key)
        if known is None or told.order > known.order:
            found[key] = told
        elif told.order == known.order and _differ(told.change, known.change):
            found[key] = replace(told, in_doubt=told.change.order is not None)
    return found


def news(
    told: Mapping[Key, Told], stored: Mapping[Key, int], ledger: Ledger, held: Held, ask: Asked
) -> dict[Key, Told]:
    """What is newer than the stored rows, and than what is known of those that are gone. The provider is asked where
    that is in doubt.
    """
    gone = ledger.gone
    fresh: dict[Key, Told] = {}
    equal: dict[Key, Told] = {}
    doubtful: dict[Key, Told] = {}
    for key, each in told.items():
        gone_at = gone[key].order if key in gone else None
        known = max((order for order in (stored.get(key), gone_at) if order is not None), default=None)
        if known is not None and (each.order < known or (each.order == gone_at and each.change.deleted)):
            continue
        unseen = known is None and ledger.since is not None and each.order < ledger.since
        if each.in_doubt or (unseen and not each.change.deleted):
            doubtful[key] = each
        else:
            (equal if known == each.order and each.change.order is not None else fresh)[key] = each
    known_already = held(equal) if equal else ()
    doubtful |= {key: each for key, each in equal.items() if key not in known_already}
    answers = ask([each.change.record for each in doubtful.values()]) if doubtful else ()
    for (key, each), now in zip(doubtful.items(), answers, strict=True):
        fresh[key] = each if now is None else Told(now, max(each.order, now.order or 0))
    return fresh


def identity_of(partial: ObjectChange) -> str:
    """The same for the same object."""
    return repr(sorted(partial.record.items()))


def asked(partial: Sequence[ObjectChange], ask: Asked) -> list[ObjectChange]:
    """In the place of changes that do not show their objects: those as they are now."""
    distinct = {identity_of(change): change.record for change in partial}
    answers = ask(list(distinct.values())) if distinct else ()
    return [now for now in answers if now is not None]


def _differ(one: ObjectChange, other: ObjectChange) -> bool:
    return one.deleted != other.deleted or one.record != other.record
