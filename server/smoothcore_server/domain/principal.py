"""Who is calling, and what they may do."""

from __future__ import annotations

from dataclasses import field
from datetime import datetime

from smoothcore_server.domain.record import record
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
        "conditions.write",
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
        "users.read",
        "users.write",
    }
)
"""All that a credential can be allowed; ``*`` stands for all of them."""


@record(frozen=True, slots=True)
class Reach:
    """What a credential may do at most."""

    permissions: frozenset[str]
    machines: frozenset[str] = frozenset()
    """Ids of the machines it is bound to; empty for all."""
    client: str = ""
    """The client name that its changes carry; empty for none."""
    expire_time: datetime | None = None
    """When it ends; None for never."""


@record(frozen=True, slots=True)
class Principal:
    """Who makes a call, and what they may do now. Made by the server from a credential."""

    organization: str
    name: str
    """Resource name of the key or the user, e.g. ``apiKeys/0192…``: the actor of its changes."""
    display_name: str = ""
    permissions: frozenset[str] = frozenset()
    """Its own and those of its roles."""
    machines: frozenset[str] = frozenset()
    """Ids of the machines it is bound to; empty for all."""
    client: str = ""
    expire_time: datetime | None = None
    """When the credential stops working."""
    credential: str = ""
    """Resource name of what was presented: that of the key, of a user's session, or of the
    certificate that stands for a key."""
    roles: frozenset[str] = frozenset()
    """Ids of its roles."""

    def may(self, permission: str) -> bool:
        """Whether it holds a permission."""
        return permission in self.permissions or EVERYTHING in self.permissions

    def may_see_machine(self, machine_id: str) -> bool:
        """Whether it is bound to this machine, or to none."""
        return not self.machines or machine_id in self.machines

    @property
    def session(self) -> str:
        """The id of the session of a user who has logged in; empty for all others."""
        collection, _, session_id = self.credential.partition("/")
        return session_id if collection == "sessions" else ""

    @property
    def grants_until(self) -> datetime | None:
        """How long what it makes may last. A user's token ends in minutes and is renewed: what a
        user makes is not held to it."""
        return None if self.name.startswith("users/") else self.expire_time

    @property
    def depends_on(self) -> frozenset[str]:
        """Names of the resources whose change may change what it may do."""
        return frozenset({self.name, *(f"roles/{role}" for role in self.roles)})


@record(frozen=True, slots=True)
class ApiKey:
    """A credential of a program."""

    id: str
    display_name: str
    permissions: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()
    """Ids of roles; it may do what they and its own permissions allow."""
    machines: frozenset[str] = frozenset()
    client: str = ""
    certificate_names: frozenset[str] = frozenset()
    """Whoever shows a certificate with one of these names is this key, see `ClientCertificate`."""
    expire_time: datetime | None = None
    revoke_time: datetime | None = None
    secret_hash: bytes = field(default=b"", repr=False)
    """Keyed hash of the secret; the secret itself is not stored."""
    meta: Meta = field(default=Meta(), compare=False)

    @property
    def name(self) -> str:
        """The resource name."""
        return f"apiKeys/{self.id}"
