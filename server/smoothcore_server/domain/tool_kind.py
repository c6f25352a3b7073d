"""Kinds of tools, as CAM systems name them, and what can be compared for each."""

from __future__ import annotations

import enum


class ToolKind(enum.Enum):
    """The shape of a tool's cutting end."""

    FLAT_END_MILL = "FLAT_END_MILL"
    BALL_END_MILL = "BALL_END_MILL"
    BULL_NOSE_END_MILL = "BULL_NOSE_END_MILL"
    FACE_MILL = "FACE_MILL"
    CHAMFER_MILL = "CHAMFER_MILL"
    TAPERED_MILL = "TAPERED_MILL"
    ENGRAVER = "ENGRAVER"
    SLOT_MILL = "SLOT_MILL"
    DOVETAIL_MILL = "DOVETAIL_MILL"
    LOLLIPOP_MILL = "LOLLIPOP_MILL"
    THREAD_MILL = "THREAD_MILL"
    FORM_MILL = "FORM_MILL"
    DRILL = "DRILL"
    CENTER_DRILL = "CENTER_DRILL"
    SPOT_DRILL = "SPOT_DRILL"
    COUNTERSINK = "COUNTERSINK"
    COUNTERBORE = "COUNTERBORE"
    REAMER = "REAMER"
    TAP = "TAP"
    BORING_BAR = "BORING_BAR"
    PROBE = "PROBE"
    TURNING = "TURNING"
    GROOVING = "GROOVING"
    THREADING = "THREADING"
    LASER = "LASER"
    PLASMA = "PLASMA"
    OTHER = "OTHER"
