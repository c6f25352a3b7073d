"""Names of actors, for whoever sees what they did; nothing else about them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from smoothcore_server.domain.actor import Actor
from smoothcore_server.domain.principal import Principal
from smoothcore_server.store.person_table import NOBODY
from smoothcore_server.store.transaction import Reader


def find_actors(reader: Reader, names: Sequence[str], caller: Principal) -> list[Actor]:
    """One for each of the names, in this order; without more than the name where there is nothing
    to tell, or nothing that is the caller's to know."""
    known = {actor.name: actor for actor in _keys(reader, names, caller)}
    known |= {actor.name: actor for actor in _users(reader, names, caller)}
    return [known.get(name) or Actor(name) for name in names]


def _keys(reader: Reader, names: Iterable[str], caller: Principal) -> list[Actor]:
    ids = _ids(names, "apiKeys/")
    found = reader.api_keys.where(reader.api_keys.c.id.in_(ids)) if ids else []
    return [
        Actor(key.name, key.display_name, key.client)
        for key in found
        if _may_know(caller, key.machines)
    ]


def _users(reader: Reader, names: Iterable[str], caller: Principal) -> list[Actor]:
    ids = _ids(names, "users/")
    found = reader.users.where(reader.users.c.id.in_(ids)) if ids else []
    known = [user for user in found if _may_know(caller, user.machines)]
    people = reader.people.of(user.id for user in known)
    return [Actor(user.name, people.get(user.id, NOBODY).display_name) for user in known]


def _ids(names: Iterable[str], prefix: str) -> set[str]:
    return {name.removeprefix(prefix) for name in names if name.startswith(prefix)}


def _may_know(caller: Principal, machines: frozenset[str]) -> bool:
    """Whether a caller may know who works on these machines: on all where there are none."""
    return not machines or any(map(caller.may_see_machine, machines))
