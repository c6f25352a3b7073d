"""What `smooth login` remembers: one server and its key, readable by its owner only."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import typer


@dataclass(frozen=True, slots=True)
class Login:
    """A server and how to reach it."""

    server: str
    key: str = ""
    ca: str = ""
    tls: bool = False
    insecure: bool = False


def config_path() -> Path:
    """The file, in the user's own configuration folder; ``SMOOTH_CONFIG`` names another."""
    named = os.environ.get("SMOOTH_CONFIG")
    return Path(named) if named else Path(typer.get_app_dir("smooth")) / "login.json"


def load_login() -> Login | None:
    """What was stored; None when there is nothing, or nothing that can be read."""
    try:
        stored = json.loads(config_path().read_text(encoding="utf-8"))
        return Login(**stored)
    except (FileNotFoundError, ValueError, TypeError):
        return None


def save_login(login: Login) -> Path:
    """Stores a login in place of the one before, and returns the file."""
    path = config_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)
    # The file is made with its final rights: there is no moment in which others could read it.
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(asdict(login), file, indent=2)
    draft.replace(path)
    return path
