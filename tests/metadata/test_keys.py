import re
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlmodel import select

from metadata.database import Database
from metadata.keys import (
    EVERY_SCOPE,
    READ_SCOPE,
    WRITE_SCOPE,
    create_key,
    ensure_bootstrap,
    find_login,
    has_scope,
    list_keys,
    revoke_key,
)
from metadata.models import ApiKey, Project, utc_now
from metadata.projects import create_project
from tests.metadata.conftest import Workshop


def test_a_key_is_found_by_its_secret_alone(workshop: Workshop) -> None:
    with workshop.database.transaction() as session:
        key, secret = create_key(session, workshop.project_id, "ci", [READ_SCOPE], role="viewer")
    assert re.fullmatch(r"slk_[A-Za-z0-9_-]{40}", secret)
    with workshop.database.read() as session:
        found = find_login(session, secret)
        assert find_login(session, secret + "x") is None
        assert find_login(session, "") is None
    assert found is not None
    assert (found.key_id, found.project_id, found.label, found.role) == (key.id, workshop.project_id, "ci", "viewer")
    assert has_scope(found, READ_SCOPE)
    assert not has_scope(found, WRITE_SCOPE)


def test_the_secret_itself_is_stored_nowhere(workshop: Workshop) -> None:
    with workshop.database.transaction() as session:
        key, secret = create_key(session, workshop.project_id, "ci", [READ_SCOPE])
    stored = repr(key.model_dump())
    assert secret not in stored
    assert secret[8:] not in stored
    assert secret.startswith(key.secret_hint)


def test_a_key_ends_by_its_time_by_revocation_and_with_its_project(workshop: Workshop) -> None:
    with workshop.database.transaction() as session:
        now, mine = utc_now(), workshop.project_id
        _, expired = create_key(session, mine, "expired", [READ_SCOPE], expires_at=now - timedelta(seconds=1))
        _, lasting = create_key(session, mine, "lasting", [READ_SCOPE], expires_at=now + timedelta(hours=1))
        doomed, revoked = create_key(session, mine, "revoked", [READ_SCOPE])
        assert revoke_key(session, mine, doomed.id)
        assert not revoke_key(session, mine, doomed.id)
    with workshop.database.transaction() as session:
        assert [find_login(session, secret) is not None for secret in (expired, lasting, revoked)] == [
            False,
            True,
            False,
        ]
        session.get_one(Project, mine).deleted_at = now
    with workshop.database.read() as session:
        assert find_login(session, lasting) is None


def test_keys_of_another_project_are_neither_listed_nor_revoked(workshop: Workshop) -> None:
    other = workshop.project()
    with workshop.database.transaction() as session:
        mine, _ = create_key(session, workshop.project_id, "mine", [EVERY_SCOPE])
        theirs, _ = create_key(session, other, "theirs", [EVERY_SCOPE])
        assert not revoke_key(session, workshop.project_id, theirs.id)
    with workshop.database.read() as session:
        assert [key.id for key in list_keys(session, workshop.project_id)] == [mine.id]
        assert [key.revoked_at for key in list_keys(session, other)] == [None]


def test_unknown_scopes_and_roles_are_refused(workshop: Workshop) -> None:
    with workshop.database.transaction() as session:
        for scopes, role in ((["everything"], "manager"), ([READ_SCOPE], "root")):
            with pytest.raises(ValueError, match="no such"):
                create_key(session, workshop.project_id, "bad", scopes, role=role)
        with pytest.raises(ValueError, match="needs a secret"):
            create_key(session, workshop.project_id, "bad", [READ_SCOPE], secret="")


def test_the_first_start_makes_project_one_and_one_key(database: Database) -> None:
    with database.transaction() as session:
        secret = ensure_bootstrap(session, None)
        assert secret is not None
    with database.transaction() as session:
        assert ensure_bootstrap(session, None) is None
        key = find_login(session, secret)
        assert key is not None
        assert (key.project_id, has_scope(key, WRITE_SCOPE)) == (1, True)
        assert [project.name for project in session.exec(select(Project))] == ["default"]
        assert create_project(session, "second").id == 2


def test_a_configured_secret_becomes_a_key_and_another_joins_it(database: Database) -> None:
    for secret in ("a-secret-of-the-operator", "and-its-successor"):
        with database.transaction() as session:
            assert ensure_bootstrap(session, secret) == secret
        with database.transaction() as session:
            assert ensure_bootstrap(session, secret) is None
    with database.read() as session:
        keys = session.exec(select(ApiKey)).all()
        assert [key.secret_hint for key in keys] == ["", ""]
        assert find_login(session, "a-secret-of-the-operator") is not None


def test_a_revoked_bootstrap_key_stays_revoked(database: Database) -> None:
    with database.transaction() as session:
        ensure_bootstrap(session, "leaked")
        key = session.exec(select(ApiKey)).one()
        revoke_key(session, 1, key.id)
    with database.transaction() as session:
        assert ensure_bootstrap(session, "leaked") is None
        assert find_login(session, "leaked") is None


def test_processes_that_start_together_make_one_first_key(database: Database) -> None:
    together = threading.Barrier(4)

    def start(_: int) -> str | None:
        together.wait(30)
        with database.transaction() as session:
            return ensure_bootstrap(session, None)

    with ThreadPoolExecutor(4) as pool:
        made = [secret for secret in pool.map(start, range(4)) if secret]
    assert len(made) == 1
    with database.read() as session:
        assert len(session.exec(select(ApiKey)).all()) == 1
