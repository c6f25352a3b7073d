"""Programs: stored once per content."""

from __future__ import annotations

import hashlib

from smoothcore_server.domain.program import Program
from smoothcore_server.formats import nc_program
from smoothcore_server.store.transaction import Transaction


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
