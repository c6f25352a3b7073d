"""Machines: controls with a tool table."""

from __future__ import annotations

import enum
from dataclasses import field
from datetime import timedelta

from smoothcore_server.domain.length import Length, LengthUnit
from smoothcore_server.domain.record import record
from smoothcore_server.domain.resource import Meta

DEFAULT_STALENESS_LIMIT = timedelta(hours=12)
"""For tables that a person pushes; a live gateway wants ten minutes."""


class MachineKind(enum.Enum):
    """What the machine does; decides which rules compare its tools."""

    MILL = "MILL"
    ROUTER = "ROUTER"
    LATHE = "LATHE"
    LASER = "LASER"
    PLASMA = "PLASMA"


class ToolChange(enum.Enum):
    """How tools come into the spindle."""

    MANUAL = "MANUAL"
    FIXED_POCKETS = "FIXED_POCKETS"
    RANDOM_POCKETS = "RANDOM_POCKETS"
    TURRET = "TURRET"
    NONE = "NONE"


class Controller(enum.Enum):
    """Families of controls; decides what a new machine's registers probably mean."""

    LINUXCNC = "LINUXCNC"
    MACH4 = "MACH4"
    HEIDENHAIN = "HEIDENHAIN"
    SIEMENS = "SIEMENS"
    HAAS = "HAAS"
    FANUC = "FANUC"
    OTHER = "OTHER"


class DiameterMeaning(enum.Enum):
    """What the control keeps in its D register."""

    DIAMETER = "DIAMETER"
    RADIUS = "RADIUS"
    DIAMETER_WEAR = "DIAMETER_WEAR"
    """A correction to the programmed size: says nothing of the size of the tool."""
    RADIUS_WEAR = "RADIUS_WEAR"


CONTROLLER_DIAMETER_MEANING = {
    Controller.LINUXCNC: DiameterMeaning.DIAMETER,
    Controller.MACH4: DiameterMeaning.DIAMETER,
    Controller.HEIDENHAIN: DiameterMeaning.RADIUS,
    Controller.SIEMENS: DiameterMeaning.RADIUS,
}
"""What the controller alone decides. Haas and Fanuc depend on a setting: somebody must say."""


WHERE_D_IS_DECIDED = {
    Controller.HAAS: "Haas: look at Setting 40, TOOL OFFSET MEASURE (RADIUS or DIAMETER)",
    Controller.FANUC: "Fanuc: look at parameter 5004 bit 2 (ORC): 0 is a diameter, 1 a radius",
}
"""For a person, where a setting of the machine decides: Haas Mill Operator's Manual, "Setting 40";
Fanuc parameter manual, "Tool compensation"."""


class LengthReference(enum.Enum):
    """What tool lengths are measured from; decides whether a new length is daily work."""

    GAUGE_LINE = "GAUGE_LINE"
    MASTER_TOOL = "MASTER_TOOL"
    WORK_ZERO = "WORK_ZERO"
    PROBED_EACH_CHANGE = "PROBED_EACH_CHANGE"
    NONE = "NONE"

    @property
    def length_belongs_to_tool(self) -> bool:
        """Whether a changed length means that the tool itself was changed or moved."""
        return self in (LengthReference.GAUGE_LINE, LengthReference.MASTER_TOOL)


class Assurance(enum.Enum):
    """How much was proven of a tool."""

    GEOMETRY = "GEOMETRY"
    """Only sizes agree."""
    IDENTITY = "IDENTITY"
    """A confirmed binding says which tool it is."""


class TableState(enum.Enum):
    """Whether the stored table can be relied on."""

    NEVER_READ = "NEVER_READ"
    CURRENT = "CURRENT"
    IN_DOUBT = "IN_DOUBT"
    """A push was held, so the stored table may no longer be what the control has."""


@record(frozen=True, slots=True)
class RegisterProfile:
    """What the registers of a machine mean, and whether a person has said so."""

    diameter_meaning: DiameterMeaning | None = None
    confirmed: bool = False


@record(frozen=True, slots=True)
class Machine:
    """A control with a tool table."""

    id: str
    length_unit: LengthUnit
    display_name: str = ""
    kind: MachineKind = MachineKind.MILL
    tool_change: ToolChange = ToolChange.FIXED_POCKETS
    controller: Controller = Controller.OTHER
    register_profile: RegisterProfile = RegisterProfile()
    length_reference: LengthReference = LengthReference.NONE
    minimum_assurance: Assurance = Assurance.IDENTITY
    staleness_limit: timedelta = DEFAULT_STALENESS_LIMIT
    wear_band: Length | None = None
    """How much smaller than its nominal diameter a worn or reground cutter may read (0 if None)."""
    table_state: TableState = TableState.NEVER_READ
    table_state_reason: str = ""
    table_doubt: str = ""
    """A hash of the push that was held: the same one, accepted, settles the doubt."""
    external_ids: dict[str, str] = field(default_factory=dict)
    """System -> the id there, e.g. ``{"mes": "WC-12"}``. Unique per system."""
    meta: Meta = field(default=Meta(), compare=False)

    @property
    def name(self) -> str:
        """The resource name."""
        return f"machines/{self.id}"
