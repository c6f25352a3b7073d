"""Security events: gathered in memory, written together, bounded whoever attacks."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from smoothcore_server.app import security_events
from smoothcore_server.app.call import Call, current_call
from smoothcore_server.app.security_events import MAX_PENDING, ROWS, SecurityEvents
from smoothcore_server.domain.errors import ErrorReason, UnavailableError
from smoothcore_server.domain.principal import Principal
from smoothcore_server.domain.rate import Rate
from smoothcore_server.domain.security_event import SecurityEvent, SecurityEventKind
from smoothcore_server.store import security_event_table
from smoothcore_server.store.store import Store
from tests.support.smooth import SmoothServer

Kind = SecurityEventKind
OURS = "default"


@pytest.fixture
def store(server: SmoothServer) -> Store:
    return server.application.store


async def written(store: Store, organization: str = OURS, **wanted: Any) -> list[SecurityEvent]:
    return await store.run_read(
        lambda connection: security_event_table.page(
            connection, organization, limit=1_000, **wanted
        )
    )


async def test_the_same_again_is_one_event_that_is_counted(store: Store) -> None:
    events = SecurityEvents(store)
    for _ in range(500):
        events.note(Kind.PERMISSION_REFUSED, organization=OURS, actor="users/u")
    events.note(Kind.PERMISSION_REFUSED, organization=OURS, actor="users/v")
    await events.flush()
    found = await written(store, actor="users/u")
    assert [(each.count, each.subject.kind) for each in found] == [(500, Kind.PERMISSION_REFUSED)]
    assert found[0].first_time <= found[0].last_time
    assert len(await written(store, actor="users/v")) == 1


async def test_who_where_and_which_call_it_was_is_taken_from_the_call(store: Store) -> None:
    events = SecurityEvents(store)
    who = Principal(OURS, "users/u", credential="sessions/s")
    call = Call("/smoothcore.v1.ToolService/GetTool", "trace", "ipv4:192.0.2.7:51234", who)
    token = current_call.set(call)
    try:
        events.note(Kind.SENSITIVE_CALL)
    finally:
        current_call.reset(token)
    assert call.is_noted
    await events.flush()
    (found,) = await written(store, actor="users/u")
    subject = found.subject
    assert (subject.credential, subject.address) == ("sessions/s", "192.0.2.7")
    assert (subject.method, found.request_id) == ("ToolService.GetTool", "trace")


async def test_no_attacker_fills_the_table(store: Store) -> None:
    events = SecurityEvents(store)
    rounds, each_round = 20, 1_000
    for number in range(rounds):
        for caller in range(each_round):
            events.note(Kind.CREDENTIAL_REFUSED, organization=OURS, actor=f"{number}-{caller}")
        await events.flush()
    found = await written(store, kinds=[Kind.CREDENTIAL_REFUSED])
    assert sum(each.count for each in found) == rounds * each_round, "nothing is lost uncounted"
    assert len(found) <= ROWS.burst + rounds + 100
    per_flush = [each for each in found if each.subject.reason == "TOO_MANY_TO_TELL_APART"]
    assert len(per_flush) == rounds
    assert len(found) <= rounds * (MAX_PENDING + 1)


async def test_organizations_that_do_not_exist_leave_their_events_with_the_instance(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(security_events, "MAX_ORGANIZATIONS", 50)
    events = SecurityEvents(store)
    for number in range(500):
        events.note(Kind.LOGIN_REFUSED, organization=f"guess-{number}")
    await events.flush()
    assert await written(store, "guess-1") == []
    found = await written(store, "")
    assert sum(each.count for each in found if each.subject.kind is Kind.LOGIN_REFUSED) == 500
    assert len(found) <= 200


async def test_many_organizations_that_do_not_exist_fill_no_table_either(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(security_events, "ALL_ROWS", Rate(0.001, 50))
    events = SecurityEvents(store)
    for flush in range(3):
        for number in range(300):
            events.note(Kind.LOGIN_REFUSED, organization=f"guess-{flush}-{number}")
        await events.flush()
    found = await written(store, "")
    mine = [each for each in found if each.subject.kind is Kind.LOGIN_REFUSED]
    assert sum(each.count for each in mine) == 900
    assert len(mine) <= 50 + 3


async def test_what_cannot_be_written_now_is_written_later_and_once(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = SecurityEvents(store)
    for _ in range(3):
        events.note(Kind.LOGGED_OUT, organization=OURS, actor="users/u")
    real = store.run_write

    async def away(_body: Any) -> Any:
        raise UnavailableError(ErrorReason.STORE_UNAVAILABLE, "away")

    monkeypatch.setattr(store, "run_write", away)
    with pytest.raises(UnavailableError):
        await events.flush()
    monkeypatch.setattr(store, "run_write", real)
    await events.flush()
    await events.flush()
    assert [each.count for each in await written(store, actor="users/u")] == [3]


REFUSE = """
CREATE TRIGGER refuse BEFORE INSERT ON security_event WHEN NEW.actor = 'users/odd'
BEGIN SELECT RAISE(ABORT, 'refused'); END
"""


async def test_an_event_that_the_database_refuses_is_lost_alone(store: Store) -> None:
    await store.run_write(lambda connection: connection.exec_driver_sql(REFUSE) and None)
    events = SecurityEvents(store)
    for actor in ("users/before", "users/odd", "users/after"):
        events.note(Kind.LOGGED_OUT, organization=OURS, actor=actor)
    await events.flush()
    await events.flush()
    found = await written(store, kinds=[Kind.LOGGED_OUT])
    assert sorted((each.subject.actor, each.count) for each in found) == [
        ("users/after", 1),
        ("users/before", 1),
    ]


async def test_events_are_forgotten_after_their_time_and_not_before(store: Store) -> None:
    events = SecurityEvents(store)
    events.note(Kind.LOGGED_OUT, organization=OURS, actor="users/u")
    await events.flush()
    now = store.clock()

    async def forget(before: Any) -> int:
        return await store.run_write(
            lambda connection: security_event_table.forget_before(connection, before, 100)
        )

    assert await forget(now - timedelta(hours=1)) == 0
    assert len(await written(store, actor="users/u")) == 1
    assert await forget(now + timedelta(hours=1)) >= 1
    assert await written(store, actor="users/u") == []
