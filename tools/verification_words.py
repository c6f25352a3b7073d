"""What the verification report says in words, whatever was counted."""

INTRO = """# Verification, measured

Written by `tools/verification_report.py`; do not edit. The files are those of public shops, named
by their path in the corpus, which is no part of this repository. All tables are LinuxCNC's, whose
D is a diameter. Nobody has bound a tool in them: they are verified as stored tables of a machine
with the minimum assurance GEOMETRY, where sizes that agree are OK. With the default, IDENTITY,
each such OK is an UNCONFIRMED until a person has said which tool it is."""

MENDED = """## Rules that were mended

By this reading:

- **Zeros that a control fills in are no precision.** LinuxCNC prints six decimals. `0.188000` for
  a 3/16 in end mill was a GEOMETRY_MISMATCH, because it looked exact to a millionth; the typed
  0.188 decides now. `6.000000` stays the exact 6, or 6 would match 6.35.
- **Lathe offsets.** A lathe tool that is called with another offset (`T0525`, `T7 M6 G43 H9`) was
  an OFFSET_MISMATCH. The offset that is called is judged instead, its nose radius too.
- **V-bits.** Fusion posts a V-bit as a chamfer mill, FreeCAD as a V-bit: a row that was adopted as
  the one was UNVERIFIABLE for the other. The two words are one kind now.
- **Why nothing was compared** named the length register of a tool set, and not the diameter.

In the same round, without a real case in these files:

- **Taps.** The bound tap's own diameter was not compared: an M3 was OK where an M8 is wanted.
- **Machines that probe each tool** had LENGTH_NOT_SET at every change.
- **Reground cutters.** A tool whose own nominal diameter is smaller by no more than the machine's
  wear band was WRONG_TOOL, while its register agreed.
- **Sizes in a wear register** were taken for wear. More than 2 mm in diameter is a finding."""

LIMITS = """## What stays wrong, and why

- A table states no kind of tool: a 6 mm drill where a 6 mm end mill is wanted is OK with GEOMETRY
  (the one false READY above). The row's text would tell, and is evidence only. IDENTITY, the
  default, asks a person first.
- Two rows with equal registers can be swapped unseen.
- A length of 0 that is meant cannot be told from one that was forgotten, least of all in a table
  that LinuxCNC has saved, where zeros are left out. Such machines get LENGTH_NOT_SET.
- Chamfer mills, V-bits, countersinks and probes are UNVERIFIABLE until their rows are adopted.
- A call of a subprogram that is not in the file is INCOMPLETE_PROGRAM, even if it only waits.
- The reader of tool comments takes `3,3mm` for 3 mm: a decimal comma in a program's header is read
  as another size.
- The pitch of a thread is stated nowhere: M8 and M8x1 agree."""
