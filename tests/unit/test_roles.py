"""The built-in roles: who may do what in every organization."""

from __future__ import annotations

import pytest

from smoothcore_server.domain.principal import EVERYTHING, PERMISSIONS
from smoothcore_server.domain.role import ADMIN_ONLY, BUILT_IN

OF_IDENTITY = {"apikeys.read", "apikeys.write", "users.read", "users.write"}


def permissions(role_id: str) -> frozenset[str]:
    return BUILT_IN[role_id].permissions


def test_there_are_six_and_each_says_who_it_is_for() -> None:
    assert list(BUILT_IN) == ["admin", "engineer", "operator", "gateway", "auditor", "viewer"]
    for role_id, role in BUILT_IN.items():
        assert (role.id, role.name, role.is_built_in) == (role_id, f"roles/{role_id}", True)
        assert role.display_name
        assert role.description.startswith("For ")


def test_only_the_admin_may_do_everything() -> None:
    assert permissions("admin") == {EVERYTHING}
    for role_id in set(BUILT_IN) - {"admin"}:
        assert permissions(role_id) <= PERMISSIONS, role_id


def test_every_permission_is_in_a_role_or_declared_to_be_the_admins_alone() -> None:
    """A new permission gets a place in `domain/role.py`, or this fails."""
    held = frozenset[str]().union(*(permissions(role_id) for role_id in BUILT_IN)) - {EVERYTHING}
    assert held | ADMIN_ONLY == PERMISSIONS
    assert not held & ADMIN_ONLY


def test_who_only_reads_writes_nothing() -> None:
    for role_id in ("auditor", "viewer"):
        assert {each for each in permissions(role_id) if not each.endswith(".read")} == set()


def test_a_viewer_sees_nothing_of_keys_and_users_and_an_auditor_sees_everything() -> None:
    reads = {each for each in PERMISSIONS if each.endswith(".read")}
    assert permissions("auditor") == reads
    assert permissions("viewer") == reads - OF_IDENTITY - {"audit.read"}


@pytest.mark.parametrize("role_id", ["engineer", "operator", "gateway", "viewer"])
def test_who_works_with_tools_has_nothing_to_do_with_keys_and_users(role_id: str) -> None:
    assert not permissions(role_id) & OF_IDENTITY


def test_an_engineer_does_not_speak_for_a_control() -> None:
    assert "tooltable.observe" not in permissions("engineer")
    assert "tooltable.observe" in permissions("operator") & permissions("gateway")


def test_an_operator_changes_neither_tools_nor_machines() -> None:
    assert not permissions("operator") & {"tools.write", "machines.write", "programs.write"}
    assert permissions("operator") >= {"conditions.write", "bindings.write", "jobs.write"}
