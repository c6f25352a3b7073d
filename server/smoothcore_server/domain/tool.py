"""Tools: physical assemblies with an identity."""

from __future__ import annotations

import enum
from dataclasses import field

from smoothcore_server.domain.length import Length
from smoothcore_server.domain.record import record
from smoothcore_server.domain.resource import Meta
from smoothcore_server.domain.tool_kind import ToolKind


class ToolCondition(enum.Enum):
    """Whether a tool may be used; all but AVAILABLE make it UNUSABLE."""

    AVAILABLE = "AVAILABLE"
    LOCKED = "LOCKED"
    BROKEN = "BROKEN"
    WORN_OUT = "WORN_OUT"
    IN_REGRIND = "IN_REGRIND"
    SCRAPPED = "SCRAPPED"


@record(frozen=True, slots=True)
class ToolGeometry:
    """Nominal sizes as somebody asserted them, by ISO 13399 property code."""

    diameter: Length | None = None  # DC
    corner_radius: Length | None = None  # RE
    flute_length: Length | None = None  # LCF
    length_below_holder: Length | None = None  # LB
    overall_length: Length | None = None  # OAL
    shank_diameter: Length | None = None  # SFDM
    flute_count: int | None = None  # NOF
    point_angle_deg: float | None = None  # SIG


@record(frozen=True, slots=True)
class Tool:
    """A physical assembly: one that can be picked up, bound to a row, and broken."""

    id: str
    display_name: str = ""
    kind: ToolKind | None = None
    geometry: ToolGeometry = ToolGeometry()
    manufacturer: str = ""
    product_id: str = ""
    serial_number: str = ""
    condition: ToolCondition = ToolCondition.AVAILABLE
    condition_reason: str = ""
    tool_type_id: str = ""
    """The article it is one of; empty when nobody has said."""
    external_ids: dict[str, str] = field(default_factory=dict)
    """System -> the id there, e.g. ``{"erp": "4711"}``. Unique per system."""
    meta: Meta = field(default=Meta(), compare=False)

    @property
    def name(self) -> str:
        """The resource name."""
        return f"tools/{self.id}"
