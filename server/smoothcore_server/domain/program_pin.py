"""Program pins: a person has said once which tools a program needs on a machine."""

from __future__ import annotations

from dataclasses import dataclass, field

from smoothcore_server.domain.resource import Meta


@dataclass(frozen=True, slots=True)
class PinnedTool:
    """The tool that a number stands for."""

    tool_number: int
    tool_id: str


@dataclass(frozen=True, slots=True)
class ProgramPin:
    """What was bound when a person said "this is what the program needs". By content hash: a
    re-post has no pin."""

    machine_id: str
    program_id: str
    tools: tuple[PinnedTool, ...] = ()
    meta: Meta = field(default=Meta(), compare=False)

    @property
    def name(self) -> str:
        """The resource name."""
        return f"machines/{self.machine_id}/programPins/{self.program_id}"
