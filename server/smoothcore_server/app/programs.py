"""Programs: stored once per content."""

from __future__ import annotations

import codecs
import hashlib

from smoothcore_server.domain.errors import invalid_field
from smoothcore_server.domain.program import Program
from smoothcore_server.formats import nc_program
from smoothcore_server.store.transaction import Transaction


def refuse_binary(content: bytes, field: str) -> None:
    """Refuse what has NUL bytes; UTF-16 with its mark is made of them, and is text."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return
    if b"\x00" in content:
        raise invalid_field(field, "holds NUL bytes: this is no NC program, or it is not text")


def read_program(content: bytes, display_name: str) -> Program:
    """What a posted program expects. Slow for big ones: call it before the transaction."""
    return Program(
        id=hashlib.sha256(content).hexdigest(),
        display_name=display_name,
        size_bytes=len(content),
        contents=nc_program.read(content),
    )


def store_program(tx: Transaction, program: Program, compressed: bytes) -> Program:
    """Store a program, or find it: the same content is the same program."""
    stored = tx.programs.find(program.id)
    if stored is not None:
        return stored
    made = tx.programs.insert(program)
    tx.program_content.put(program.id, compressed)
    return made
