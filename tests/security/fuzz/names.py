"""Stand-ins for the names of a world, so that what is generated does not depend on what a server
has called things."""

from __future__ import annotations

import dataclasses

from google.protobuf.message import Message

from tests.support.requests import World


def stand_in(mark: str) -> World:
    """A world of names that have the right form and are nobody's."""
    machine = f"machines/{mark}-mill"
    return World(
        mark,
        machine,
        content_hash=(mark.encode().hex() + "0" * 64)[:64],
        entry=f"{machine}/toolTableEntries/1",
        free_entry=f"{machine}/toolTableEntries/3",
        tool=f"tools/{mark}-tool",
        free_tool=f"tools/{mark}-free-tool",
        tool_type=f"toolTypes/{mark}-type",
        free_type=f"toolTypes/{mark}-free-type",
        tool_set=f"toolSets/{mark}-set",
        binding=f"{machine}/bindings/{mark}-binding",
        program=f"programs/{mark}-program",
        pin=f"{machine}/programPins/{mark}-pin",
        job=f"{machine}/jobs/{mark}-job",
        active_job=f"{machine}/jobs/{mark}-active-job",
        key=f"apiKeys/{mark}-key",
        role=f"roles/{mark}-role",
        user=f"users/{mark}-user",
    )


def texts_of(world: World) -> dict[str, str]:
    """Its names, by what they are of."""
    found = dataclasses.asdict(world)
    return {key: value for key, value in found.items() if isinstance(value, str)}


def meaning(stand_ins: World, real: World) -> dict[str, str]:
    """What each stand-in stands for."""
    there = texts_of(real)
    return {name: there[key] for key, name in texts_of(stand_ins).items() if key != "mark"}


def fill(message: Message, names: dict[str, str]) -> None:
    """Put real names in the place of stand-ins."""
    for field, value in message.ListFields():
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            continue
        if field.message_type is not None:
            for inner in value if field.is_repeated else [value]:
                fill(inner, names)
        elif isinstance(value, str):
            setattr(message, field.name, names.get(value, value))
        elif field.is_repeated and value and isinstance(value[0], str):
            value[:] = [names.get(text, text) for text in value]
