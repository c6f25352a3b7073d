"""Who is calling, and what they may do."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from smoothcore_server.domain.resource import Meta

EVERYTHING = "*"

PERMISSIONS = frozenset(
    {
        "machines.read",
        "machines.write",
        "tooltable.read",
        "tooltable.observe",
        "tools.read",
        "tools.write",
        "toolsets.read",
        "toolsets.write",
        "bindings.read",
        "bindings.write",
        "programs.read",
        "programs.write",
        "jobs.read",
        "jobs.write",
        "verification.run",
        "readiness.read",
        "apikeys.read",
        "apikeys.write",
        "audit.read",
    }
)
"""All that a credential can be allowed; ``*`` stands for all of them."""


@dataclass(frozen=True, slots=True)
class Principal:
    """The holder of a credential."""

    organization: str
    name: str
    """Resource name of the credential, e.g. ``apiKeys/0192…``: the actor of its changes."""
    display_name: str = ""
    permissions: frozenset[str] = frozenset()
    machines: frozenset[str] = frozenset()
    """Ids of the machines it is bound to; empty for all."""
    client: str = ""
    expire_time: datetime | None = None

    def may(self, permission: str) -> bool:
        """Whether it holds a permission."""
        return permission in self.permissions or EVERYTHING in self.permissions

    def may_see_machine(self, machine_id: str) -> bool:
        """Whether it is bound to this machine, or to none."""
        return not self.machines or machine_id in self.machines


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A credential of a program."""

    id: str
    display_name: str
    permissions: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()
    """Ids of roles; it may do what they and its own permissions allow."""
    machines: frozenset[str] = frozenset()
    client: str = ""
    expire_time: datetime | None = None
    revoke_time: datetime | None = None
    secret_hash: bytes = field(default=b"", repr=False)
    """Keyed hash of the secret; the secret itself is not stored."""
    meta: Meta = field(default=Meta(), compare=False)

    @property
    def name(self) -> str:
        """The resource name."""
        return f"apiKeys/{self.id}"
