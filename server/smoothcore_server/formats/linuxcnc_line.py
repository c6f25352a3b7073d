"""One line of a LinuxCNC tool table, read as LinuxCNC reads it.

The rules, from `tooldata_read_entry()` in LinuxCNC's src/emc/tooldata/tooldata_common.cc:

- A line that starts with ``;`` is skipped; otherwise all after the first ``;`` is the comment.
- The text before it is split at spaces only. A tab, and the CR of a CR LF file, are part of a
  token: ``T1<tab>P1`` is T=1 and nothing else, ``D4<CR>`` is 4. A CR that stands alone after a
  space is an unknown token, and makes LinuxCNC skip the line.
- A token is a letter in either case and a number as scanf's %d or %lf reads it: ``.5``, ``1e-3``.
  What follows the number in its token is ignored: ``D4:`` is 4.
- An unknown letter or a missing number makes LinuxCNC skip the line, and nothing but the line.
- Where a letter is repeated, the last one counts.
- At most 1000 P words are taken (CANON_POCKETS_MAX is 1001), those of skipped lines included.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field

from smoothcore_server.domain.length import Length, LengthUnit, UnreadableLengthError
from smoothcore_server.domain.tool_table import Registers
from smoothcore_server.formats.text import scan_float, scan_integer, shown

MAX_P_WORDS = 1000

LENGTHS = {
    "D": "diameter_geometry",
    "X": "x",
    "Y": "y",
    "Z": "length_geometry",
    "U": "u",
    "V": "v",
    "W": "w",
}
ANGLES = {
    "A": "a_deg",
    "B": "b_deg",
    "C": "c_deg",
    "I": "front_angle_deg",
    "J": "back_angle_deg",
}
"""The letters of a row and the registers they set; T, P and Q besides."""

_INT32 = range(-(2**31), 2**31)
_ORIENTATIONS = range(10)
_MAX_DEGREES = 1e6
_HEXADECIMAL = re.compile(r"[+-]?0[xX]")
_ONLY_ZERO_DECIMALS = re.compile(r"\.0*\s*\Z")


@dataclass(slots=True)
class Line:
    """What LinuxCNC finds in a line."""

    tool: int | None = None
    pocket: int | None = None
    p_words: int = 0
    orientation: int | None = None
    lengths: dict[str, Length | None] = field(default_factory=dict)
    angles: dict[str, float | None] = field(default_factory=dict)
    unreadable: set[str] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)
    """What a person should know of a line that LinuxCNC takes."""
    error: str = ""
    """Why LinuxCNC skips the line; empty where it does not."""

    def fail(self, reason: str) -> None:
        self.error = self.error or reason

    def mark(self, name: str, readable: bool) -> None:
        """Remember whether the last word for a register was usable."""
        if readable:
            self.unreadable.discard(name)
        else:
            self.unreadable.add(name)

    def registers(self) -> Registers:
        lengths, angles = self.lengths.get, self.angles.get
        return Registers(
            length_geometry=lengths("Z"),
            diameter_geometry=lengths("D"),
            x=lengths("X"),
            y=lengths("Y"),
            u=lengths("U"),
            v=lengths("V"),
            w=lengths("W"),
            a_deg=angles("A"),
            b_deg=angles("B"),
            c_deg=angles("C"),
            front_angle_deg=angles("I"),
            back_angle_deg=angles("J"),
            orientation=self.orientation,
            unreadable=tuple(sorted(self.unreadable)),
        )


def split(piece: bytes) -> tuple[str | None, bytes | None]:
    """The words and the comment of a line; None for the words of a line that counts as blank.

    LinuxCNC looks at the length of what stands before the ``;``, line end included: one
    character or less is a blank line. A NUL ends the line. (A line that starts with one crashes
    LinuxCNC; here it has no words.)
    """
    text = piece.split(b"\0", 1)[0]
    if text.startswith(b";"):
        return None, None
    words, found, comment = text.partition(b";")
    if len(words) <= 1 and not piece.startswith(b"\0"):
        return None, None
    return words.decode("latin-1"), comment if found else None


def parse(words: str, unit: LengthUnit, p_words_before: int) -> Line:
    """Read the words of a line, after ``p_words_before`` P words in the lines above it."""
    line = Line()
    if not words:
        line.fail("it starts with a NUL byte")
    for token in words.split(" "):
        if not token or token.startswith("\n"):
            continue
        letter, value = token[0].upper(), token[1:]
        if letter in LENGTHS:
            _read_length(line, letter, value, unit)
        elif letter in ANGLES:
            _read_angle(line, letter, value)
        elif letter in ("T", "P", "Q"):
            _read_integer(line, letter, value)
        elif token.strip("\r\n") == "":
            line.fail("a carriage return stands alone in it (the file has CR LF line ends)")
        else:
            line.fail(f"unknown word {shown(token)!r}")
    if line.p_words and p_words_before + line.p_words > MAX_P_WORDS:
        line.fail(f"LinuxCNC takes no more than {MAX_P_WORDS} rows")
    return line


def _read_length(line: Line, letter: str, text: str, unit: LengthUnit) -> None:
    scanned = scan_float(text)
    if scanned is None:
        line.fail(f"{letter} has no number")
        return
    line.lengths[letter] = None
    try:
        if _HEXADECIMAL.match(scanned.text):
            line.lengths[letter] = Length.of(scanned.value, unit)
        else:
            line.lengths[letter] = Length.parse(scanned.text, unit)
    except UnreadableLengthError as error:
        line.notes.append(f"{letter} is not usable: {error}")
    line.mark(LENGTHS[letter], line.lengths[letter] is not None)
    _note_lost_data(line, letter, text, scanned.rest)


def _read_angle(line: Line, letter: str, text: str) -> None:
    scanned = scan_float(text)
    if scanned is None:
        line.fail(f"{letter} has no number")
        return
    usable = math.isfinite(scanned.value) and abs(scanned.value) <= _MAX_DEGREES
    # Adding 0.0 turns -0.0 into 0.0.
    line.angles[letter] = scanned.value + 0.0 if usable else None
    if not usable:
        line.notes.append(f"{letter} is no usable angle")
    line.mark(ANGLES[letter], usable)
    _note_lost_data(line, letter, text, scanned.rest)


def _read_integer(line: Line, letter: str, text: str) -> None:
    scanned = scan_integer(text)
    # C would cut a number beyond 32 bits to another number; no control has such a tool.
    if scanned is None or (letter == "T" and scanned[0] not in _INT32):
        line.fail(f"{letter} has no whole number")
        return
    value, rest = scanned
    if letter == "T":
        line.tool = value
    elif letter == "P":
        line.p_words += 1
        line.pocket = value if value in _INT32 else None
    else:
        line.orientation = value if value in _ORIENTATIONS else None
        line.mark("orientation", line.orientation is not None)
        if line.orientation is None:
            line.notes.append("Q is no orientation (0 to 9)")
    if not _ONLY_ZERO_DECIMALS.match(rest):
        _note_lost_data(line, letter, text, rest)


def _note_lost_data(line: Line, letter: str, text: str, rest: str) -> None:
    """Report what LinuxCNC ignores, where it has a digit in it.

    It is a second word after a tab, the rest of ``6,35`` or ``1/4``, the decimals of a tool
    number. ``D4:`` and ``D6mm`` lose nothing.
    """
    if any("0" <= character <= "9" for character in rest):
        line.notes.append(f"LinuxCNC ignores {shown(rest)!r} in {shown(letter + text)!r}")
