"""What can be compared for each kind of tool and machine, and which kinds exclude each other."""

from __future__ import annotations

from smoothcore_server.domain.length import Length
from smoothcore_server.domain.machine import DiameterMeaning, Machine, MachineKind
from smoothcore_server.domain.tool import Tool
from smoothcore_server.domain.tool_kind import ToolKind

NO_DIAMETER: dict[ToolKind, str] = {
    ToolKind.CENTER_DRILL: "D may be the pilot or the body of a centre drill",
    ToolKind.COUNTERSINK: "D may be the tip or the body of a countersink",
    ToolKind.CHAMFER_MILL: "D may be the tip or the body of a chamfer mill",
    ToolKind.ENGRAVER: "D may be the tip or the shank of an engraver",
    ToolKind.TAPERED_MILL: "D may be the tip or the shank of a tapered mill",
    ToolKind.TAP: "D may be the thread or the core hole of a tap",
    ToolKind.PROBE: "D may be the ball or its calibrated size for a probe",
    ToolKind.BORING_BAR: "D may be the bar or the bore of a boring bar",
    ToolKind.TURNING: "a turning tool has no diameter",
    ToolKind.GROOVING: "a grooving tool has no diameter",
    ToolKind.THREADING: "a threading tool has no diameter",
    ToolKind.LASER: "a laser head has no diameter",
    ToolKind.PLASMA: "a plasma torch has no diameter",
}
"""Kinds whose diameter is not compared, and why: CAM systems and shops mean different sizes by
it, so that a comparison would be a constant false alarm. Spot drills are not among them: all
sources that we know state their body."""

_CATCH_ALL = frozenset({ToolKind.OTHER, ToolKind.FORM_MILL})
"""Words that fit many shapes: the same word on both sides proves nothing, and neither does
another one."""

_SAME_WORDS: tuple[frozenset[ToolKind], ...] = (
    # They differ by the corner radius, which is compared on its own, or by what they are used
    # for. A British slot drill is an end mill, an American slot mill a T-slot cutter.
    frozenset(
        {
            ToolKind.FLAT_END_MILL,
            ToolKind.BULL_NOSE_END_MILL,
            ToolKind.FACE_MILL,
            ToolKind.SLOT_MILL,
            ToolKind.COUNTERBORE,
        }
    ),
    # A V-bit goes by all of these names, and these are not always V-bits.
    frozenset(
        {
            ToolKind.CHAMFER_MILL,
            ToolKind.COUNTERSINK,
            ToolKind.ENGRAVER,
            ToolKind.SPOT_DRILL,
            ToolKind.TAPERED_MILL,
        }
    ),
    frozenset({ToolKind.CENTER_DRILL, ToolKind.SPOT_DRILL}),
    # A tapered ball nose.
    frozenset({ToolKind.BALL_END_MILL, ToolKind.TAPERED_MILL}),
    frozenset({ToolKind.SLOT_MILL, ToolKind.DOVETAIL_MILL}),
    frozenset({ToolKind.BORING_BAR, ToolKind.TURNING}),
)
"""Kinds that different systems use for one tool: neither a contradiction nor a proof."""

_V_BITS = frozenset({ToolKind.CHAMFER_MILL, ToolKind.ENGRAVER})
"""One cutter under two words: Fusion posts a V-bit as a chamfer mill, FreeCAD as a V-bit."""

WEAR_MEANINGS = frozenset({DiameterMeaning.DIAMETER_WEAR, DiameterMeaning.RADIUS_WEAR})

_IDENTITY_ONLY = frozenset({MachineKind.LASER, MachineKind.PLASMA})


def identity_only(machine: Machine) -> bool:
    """Whether no size says anything on this machine: laser and plasma."""
    return machine.kind in _IDENTITY_ONLY


def size_field(machine: Machine) -> str:
    """The size that the D register of this machine tells: the nose radius on a lathe."""
    return "corner_radius" if machine.kind is MachineKind.LATHE else "diameter"


def why_no_diameter(machine: Machine, *kinds: ToolKind | None) -> str:
    """Why a diameter is not compared here; empty where it is."""
    if identity_only(machine):
        return f"a {machine.kind.value.lower()} machine compares only which tool it is"
    if machine.kind is MachineKind.LATHE:
        return "a lathe compares the corner radius"
    return next((NO_DIAMETER[kind] for kind in kinds if kind in NO_DIAMETER), "")


def why_no_own_diameter(machine: Machine, *kinds: ToolKind | None) -> str:
    """Why a claimed diameter is not compared with the bound tool's own; empty where it is.

    Of a tap both state the thread, whatever is in register D: an M3 is no M8. The other kinds
    of `NO_DIAMETER` mean different sizes here too.
    """
    return why_no_diameter(machine, *(None if kind is ToolKind.TAP else kind for kind in kinds))


def own_register_size(machine: Machine, tool: Tool | None) -> Length | None:
    """The size of a tool's own geometry that the D register of this machine should tell, in
    the terms of `size_field`; None where the tool states none or it is not compared."""
    if tool is None or identity_only(machine):
        return None
    if size_field(machine) == "corner_radius":
        return tool.geometry.corner_radius
    return None if why_no_diameter(machine, tool.kind) else tool.geometry.diameter


def kinds_agree(one: ToolKind, other: ToolKind) -> bool | None:
    """Whether two kinds are the same or exclude each other; None where the words do not tell."""
    if one in _CATCH_ALL or other in _CATCH_ALL:
        return None
    if one is other or (one in _V_BITS and other in _V_BITS):
        return True
    if any(one in words and other in words for words in _SAME_WORDS):
        return None
    return False


def kind_words(kind: ToolKind) -> str:
    """The kind as a person would write it."""
    return kind.value.lower().replace("_", " ")
