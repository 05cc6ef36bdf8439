"""Slot and publication together: made, checked and dropped."""

import contextlib
from collections.abc import Sequence

import psycopg

from connectors.capture import CaptureSetup
from connectors.errors import BusyError, ConfigurationError
from connectors.postgres.config import PostgresConfig
from connectors.postgres.replication.control import SESSION_NAME, alone, changing
from connectors.postgres.replication.prerequisites import capture_problems
from connectors.postgres.replication.publications import (
    Publication,
    drop_publication,
    find_publication,
    make_publication,
    name_problem,
    own_publication,
    put_tables,
)
from connectors.postgres.replication.slots import (
    conflict,
    drop_slot,
    end_reader,
    find_slot,
    is_ours,
    make_slot,
    slot_name_problem,
)
from connectors.postgres.session import connect
from connectors.postgres.sql import literal


def set_up_capture(config: PostgresConfig, setup: CaptureSetup, tables: Sequence[str]) -> int:
    """``connectors.capture.Capturing.set_up_capture``. The publication comes first: a slot decodes what was written
    while there was none into an error. So a slot that is older than its publication is made anew, as a lost one is.
    """
    if not setup.managed:
        return _check(config, setup)
    _check_names(setup)
    with alone(config, setup):
        known = _prepare(config, setup, tables)
        try:
            return _take_slot(config, setup, usable=known)
        except BaseException:
            if not known:
                with contextlib.suppress(Exception):
                    _drop(config, setup)
            raise


def _check_names(setup: CaptureSetup) -> None:
    if wrong := slot_name_problem(setup.slot):
        raise ConfigurationError(wrong, attr="cdc_slot_name")
    if wrong := name_problem(setup.publication):
        raise ConfigurationError(wrong, attr="cdc_publication_name")


def _prepare(config: PostgresConfig, setup: CaptureSetup, tables: Sequence[str]) -> bool:
    """Have the publication with these tables. Whether there is a slot already that goes with it."""
    with changing(config) as connection:
        slot = find_slot(connection, setup.slot)
        publication = own_publication(connection, setup.publication)
        taken = conflict(slot, setup.slot, publication is not None) if slot else None
        if taken:
            raise ConfigurationError(f"{taken} Choose another name.", attr="cdc_slot_name")
        if publication is None:
            make_publication(connection, config, setup.publication)
        put_tables(connection, config, setup.publication, tables)
        return slot is not None and publication is not None and not slot.is_lost


def _take_slot(config: PostgresConfig, setup: CaptureSetup, *, usable: bool) -> int:
    """In a transaction that has written nothing, as Postgres demands."""
    with changing(config) as connection:
        slot = find_slot(connection, setup.slot)
        if slot and usable:
            assert slot.confirmed is not None
            return slot.confirmed
        if slot:
            drop_slot(connection, config, setup.slot)
        return make_slot(connection, config, setup.slot)


def _check(config: PostgresConfig, setup: CaptureSetup) -> int:
    problems = capture_problems(config, setup, (), existing=True)
    if problems:
        raise ConfigurationError(f"{problems[0].message} {problems[0].fix}")
    with connect(config, SESSION_NAME) as connection:
        slot = find_slot(connection, setup.slot)
    if slot is None or slot.confirmed is None:
        raise BusyError(f"The slot {setup.slot} is being made or dropped at the moment.", retry_after_seconds=5)
    return slot.confirmed


def tear_down_capture(config: PostgresConfig, setup: CaptureSetup) -> None:
    """``connectors.capture.Capturing.tear_down_capture``. Nothing is touched that is not surely ours: a slot that
    nothing tells for ours is named in a ``ConfigurationError``.
    """
    if not setup.managed:
        return
    with connect(config, SESSION_NAME) as connection:
        # Also of who is just making it, and would keep us waiting.
        if _has_slot(connection, setup, find_publication(connection, setup.publication)):
            end_reader(connection, setup.slot)
    with alone(config, setup):
        _drop(config, setup)


def _drop(config: PostgresConfig, setup: CaptureSetup) -> None:
    """The slot first, and for good, whatever comes of the publication: only a slot makes the source keep its log."""
    with changing(config) as connection:
        publication = find_publication(connection, setup.publication)
        if _has_slot(connection, setup, publication):
            end_reader(connection, setup.slot)
            drop_slot(connection, config, setup.slot)
        if publication and publication.ours:
            drop_publication(connection, setup.publication)


def _has_slot(connection: psycopg.Connection, setup: CaptureSetup, publication: Publication | None) -> bool:
    slot = find_slot(connection, setup.slot)
    if slot is None or not slot.is_usable_here:
        return False
    if not is_ours(setup.slot, bool(publication and publication.ours)):
        raise ConfigurationError(
            f"Nothing says that Syncline made the slot {setup.slot}. If nobody else needs it, run "
            f"SELECT pg_drop_replication_slot({literal(setup.slot)});",
            attr="cdc_slot_name",
        )
    return True
