from datetime import timedelta

import pytest
from sqlmodel import select

from metadata.capture_claims import (
    CaptureSettings,
    CaptureTakenError,
    Claim,
    claim_capture,
    is_held,
    refuse_taken,
    release_capture,
    start_capture,
)
from metadata.captures import Captures
from metadata.models import Capture, CaptureEvent, Source, utc_now
from tests.metadata.conftest import Workshop

SETTINGS = CaptureSettings("a_slot", "a_publication")
LEASE = timedelta(minutes=1)


def claim(
    workshop: Workshop,
    source: Source,
    settings: CaptureSettings = SETTINGS,
    *,
    cluster: str | None = "one",
    lease: timedelta = LEASE,
) -> Claim:
    with workshop.database.transaction() as session:
        return claim_capture(session, session.get_one(Source, source.id), settings, cluster, lease)


def start(workshop: Workshop, claimed: Claim) -> bool:
    with workshop.database.transaction() as session:
        return start_capture(session, claimed, 77)


def release(workshop: Workshop, claimed: Claim, *, clean: bool) -> None:
    with workshop.database.transaction() as session:
        release_capture(session, claimed, clean=clean)


def capture(workshop: Workshop, source: Source) -> Capture | None:
    with workshop.database.read() as session:
        return session.get(Capture, source.id)


def held(workshop: Workshop, claimed: Claim) -> bool:
    with workshop.database.read() as session:
        return is_held(session, claimed)


def test_a_claim_becomes_a_capture(workshop: Workshop) -> None:
    source = workshop.source()
    claimed = claim(workshop, source)
    assert held(workshop, claimed)
    assert start(workshop, claimed)
    assert not held(workshop, claimed)
    found = capture(workshop, source)
    assert found is not None
    assert (found.removing, found.claimed_until, found.position, found.cluster) == (False, None, 77, "one")
    with workshop.database.read() as session:
        assert session.exec(select(CaptureEvent.message)).one().endswith("a_slot.")
    assert not start(workshop, claimed), "once"


def test_who_comes_second_learns_why(workshop: Workshop) -> None:
    source = workshop.source()
    claimed = claim(workshop, source)
    with pytest.raises(CaptureTakenError) as being_enabled:
        claim(workshop, source)
    release(workshop, claimed, clean=False)
    with pytest.raises(CaptureTakenError) as being_removed:
        claim(workshop, source)
    workshop.change(capture(workshop, source), removing=False)
    with pytest.raises(CaptureTakenError) as enabled:
        claim(workshop, source)
    errors = (being_enabled, being_removed, enabled)
    assert [error.value.code for error in errors] == ["being_enabled", "being_removed", "already_enabled"]
    refuse_taken(None)


def test_a_claim_that_has_run_out_starts_nothing(workshop: Workshop) -> None:
    source = workshop.source()
    claimed = claim(workshop, source, lease=-LEASE)
    assert not start(workshop, claimed)
    [intent] = Captures(workshop.database, workshop.vault).page(None, 10)
    assert intent.removing


def test_a_claim_is_given_back_whole(workshop: Workshop) -> None:
    source = workshop.source()
    release(workshop, claim(workshop, source), clean=True)
    assert capture(workshop, source) is None
    again = claim(workshop, source)
    assert start(workshop, again)
    release(workshop, again, clean=True)
    found = capture(workshop, source)
    assert found is not None, "it is nobody's claim any more"
    assert found.epoch == 2


def test_only_its_own_claim_is_given_back(workshop: Workshop) -> None:
    source = workshop.source()
    first = claim(workshop, source)
    release(workshop, first, clean=True)
    second = claim(workshop, source, lease=2 * LEASE)
    release(workshop, first, clean=True)
    assert not held(workshop, first)
    assert held(workshop, second)


def test_a_source_that_was_to_be_born_goes_with_its_claim(workshop: Workshop) -> None:
    source = workshop.source(deleted_at=utc_now())
    release(workshop, claim(workshop, source), clean=True)
    with workshop.database.read() as session:
        assert session.get(Source, source.id) is None


def test_in_a_cluster_nobody_shares(workshop: Workshop) -> None:
    first, second = workshop.source(prefix="a"), workshop.source(prefix="b")
    start(workshop, claim(workshop, first))
    for settings in (CaptureSettings("a_slot", "another"), CaptureSettings("another", "a_publication")):
        with pytest.raises(CaptureTakenError) as taken:
            claim(workshop, second, settings)
        assert taken.value.code == "taken"
    for cluster, settings in [
        ("two", SETTINGS),
        (None, SETTINGS),
        ("one", CaptureSettings("another", "a_publication", managed=False)),
    ]:
        release(workshop, claim(workshop, second, settings, cluster=cluster), clean=True)
