"""Bindings: the claim that a row of a tool table is a certain tool."""

from __future__ import annotations

import enum
from dataclasses import field
from datetime import datetime

from smoothcore_server.domain.length import Length
from smoothcore_server.domain.record import record
from smoothcore_server.domain.resource import EPOCH, Meta
from smoothcore_server.domain.tool_table import escape_address


class BindingState(enum.Enum):
    """How far a binding can be relied on. All but ENDED are open."""

    CONFIRMED = "CONFIRMED"
    SUSPECT = "SUSPECT"
    """Registers changed in a way that says: this may be another tool now. Bind again to confirm."""
    DORMANT = "DORMANT"
    """Its row is missing from the table; it comes back with the row."""
    ENDED = "ENDED"


@record(frozen=True, slots=True)
class Binding:
    """An entry *is* a tool, from ``start_time`` until ``end_time``."""

    id: str
    machine_id: str
    address: str
    tool_id: str
    state: BindingState = BindingState.CONFIRMED
    state_reason: str = ""
    start_time: datetime = EPOCH
    end_time: datetime | None = None
    confirmed_length: Length | None = None
    """The entry's length geometry when a person last confirmed the binding."""
    confirmed_diameter: Length | None = None
    """The entry's diameter register when a person last confirmed the binding."""
    meta: Meta = field(default=Meta(), compare=False)

    @property
    def name(self) -> str:
        """The resource name."""
        return f"machines/{self.machine_id}/bindings/{self.id}"

    @property
    def entry_name(self) -> str:
        """The resource name of the bound entry."""
        return f"machines/{self.machine_id}/toolTableEntries/{escape_address(self.address)}"

    @property
    def tool_name(self) -> str:
        """The resource name of the tool."""
        return f"tools/{self.tool_id}"

    @property
    def is_open(self) -> bool:
        """Whether the claim still stands in some form."""
        return self.state is not BindingState.ENDED
