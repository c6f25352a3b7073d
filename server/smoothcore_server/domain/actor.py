"""Actors: who made a change, by a name for people."""

from __future__ import annotations

from smoothcore_server.domain.record import record


@record(frozen=True, slots=True)
class Actor:
    """Who made a change, as far as whoever asks may know them."""

    name: str
    """As it stands in the log, e.g. ``users/0192…``."""
    display_name: str = ""
    client: str = ""
    """The client name of a key."""
