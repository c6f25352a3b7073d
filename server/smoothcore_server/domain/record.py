"""Values that nobody may change, without what `frozen` costs when they are made.

A frozen dataclass sets each of its fields through ``object.__setattr__``: making a tool took five
times as long, and a page of a thousand tools is ten thousand values. Here the type checker keeps
assignments out, which it does in every file of this project, and at run time there is nothing.
docs/decisions/0014 has the measurement.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dataclasses import dataclass as record
else:

    def record(*, frozen: bool, slots: bool):
        """`dataclasses.dataclass`; what is frozen is so for the type checker, and can be hashed."""
        return dataclasses.dataclass(slots=slots, unsafe_hash=frozen)


__all__ = ["record"]
