"""No credential makes one that is stronger than itself, whoever makes what."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smoothcore_server.domain.errors import PermissionDeniedError
from smoothcore_server.domain.granting import refuse_stronger
from smoothcore_server.domain.principal import EVERYTHING, PERMISSIONS, Principal, Reach

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SOME = ["tools.read", "tools.write", "users.write"]
MACHINES = ["m1", "m2"]
CLIENTS = ["", "cam", "gate"]
TIMES = [NOON + timedelta(hours=hours) for hours in range(3)]

permissions = st.frozensets(st.sampled_from([*SOME, EVERYTHING]), max_size=3)
machines = st.frozensets(st.sampled_from(MACHINES))
clients = st.sampled_from(CLIENTS)
expiries = st.none() | st.sampled_from(TIMES)
reaches = st.builds(Reach, permissions, machines, clients, expiries)


def maker_of(reach: Reach, name: str = "apiKeys/maker") -> Principal:
    return Principal(
        "default",
        name,
        permissions=reach.permissions,
        machines=reach.machines,
        client=reach.client,
        expire_time=reach.expire_time,
    )


def deeds(reach: Reach) -> set[tuple[str, str, str, datetime]]:
    """All that somebody may do: which permission, where, under which client name, and when.

    Whoever has no client name of their own is told apart by nobody, so they could be any.
    """
    times = [*(time - timedelta(minutes=1) for time in TIMES), TIMES[-1] + timedelta(days=400)]
    return {
        (permission, machine, client, time)
        for permission in PERMISSIONS
        if permission in reach.permissions or EVERYTHING in reach.permissions
        for machine in [*MACHINES, "m3"]
        if not reach.machines or machine in reach.machines
        for client in CLIENTS
        if not reach.client or client == reach.client
        for time in times
        if reach.expire_time is None or time < reach.expire_time
    }


def is_allowed(wanted: Reach, maker: Principal) -> bool:
    try:
        refuse_stronger(wanted, maker)
    except PermissionDeniedError:
        return False
    return True


@given(reaches, reaches)
def test_what_is_made_may_never_do_what_its_maker_may_not(wanted: Reach, maker: Reach) -> None:
    if is_allowed(wanted, maker_of(maker)):
        assert deeds(wanted) <= deeds(maker)


@given(reaches, reaches)
def test_what_does_no_more_than_its_maker_can_be_made(wanted: Reach, maker: Reach) -> None:
    narrowed = Reach(
        permissions=frozenset(each for each in wanted.permissions if maker_of(maker).may(each)),
        machines=(wanted.machines & maker.machines) or maker.machines or wanted.machines,
        client=maker.client or wanted.client,
        expire_time=min(
            (time for time in (wanted.expire_time, maker.expire_time) if time), default=None
        ),
    )
    assert is_allowed(narrowed, maker_of(maker))
    assert deeds(narrowed) <= deeds(maker)


@given(reaches, reaches, reaches)
def test_a_chain_of_makers_leads_nowhere_either(first: Reach, second: Reach, third: Reach) -> None:
    if is_allowed(second, maker_of(first)) and is_allowed(third, maker_of(second)):
        assert is_allowed(third, maker_of(first))


@given(reaches)
def test_everybody_may_make_an_equal(reach: Reach) -> None:
    assert is_allowed(reach, maker_of(reach))


def test_the_token_of_a_user_ends_soon_and_holds_nothing_back() -> None:
    lasting = Reach(frozenset({"tools.read"}))
    brief = Reach(frozenset({"tools.read"}), expire_time=NOON)
    assert is_allowed(lasting, maker_of(brief, "users/jo"))
    assert not is_allowed(lasting, maker_of(brief, "apiKeys/k"))


@pytest.mark.parametrize("permission", ["tools.write", EVERYTHING])
def test_the_refusal_names_what_its_maker_may_not(permission: str) -> None:
    maker = maker_of(Reach(frozenset({"tools.read"})))
    with pytest.raises(PermissionDeniedError, match="you may not") as refused:
        refuse_stronger(Reach(frozenset({"tools.read", permission})), maker)
    assert refused.value.metadata["permission"] == permission
