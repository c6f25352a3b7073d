"""Roles: sets of permissions with a name. Six are built in, the same in every organization."""

from __future__ import annotations

from dataclasses import field

from smoothcore_server.domain.principal import EVERYTHING
from smoothcore_server.domain.record import record
from smoothcore_server.domain.resource import Meta


@record(frozen=True, slots=True)
class Role:
    """A set of permissions with a name."""

    id: str
    display_name: str = ""
    description: str = ""
    permissions: frozenset[str] = frozenset()
    meta: Meta = field(default=Meta(), compare=False)

    @property
    def name(self) -> str:
        """The resource name."""
        return f"roles/{self.id}"

    @property
    def is_built_in(self) -> bool:
        """Whether it is the same in every organization, and stored in none."""
        return self.id in BUILT_IN


SHOP_READS = frozenset(
    {
        "bindings.read",
        "jobs.read",
        "machines.read",
        "programs.read",
        "readiness.read",
        "tools.read",
        "toolsets.read",
        "tooltable.read",
    }
)
"""All that says how the shop is set up, and nothing of who works with it."""

ADMIN_ONLY = frozenset({"apikeys.write", "users.write"})
"""What no other built-in role has: giving rights to others."""

ADMIN = Role(
    id="admin",
    display_name="Administrator",
    description="For who runs the organization: everything in it, users and keys included.",
    permissions=frozenset({EVERYTHING}),
)

_ROLES = (
    ADMIN,
    Role(
        id="engineer",
        display_name="Engineer",
        description="For who prepares the work: tools, machines, programs, jobs and bindings. "
        "Does not speak for a control, and gives no rights to others.",
        permissions=SHOP_READS
        | {
            "bindings.write",
            "conditions.write",
            "jobs.write",
            "machines.write",
            "programs.write",
            "tools.write",
            "toolsets.write",
            "verification.run",
        },
    ),
    Role(
        id="operator",
        display_name="Operator",
        description="For who stands at a machine: binds tools, starts and ends jobs, marks tools "
        "broken, sends the table of a control by hand.",
        permissions=SHOP_READS
        | {
            "bindings.write",
            "conditions.write",
            "jobs.write",
            "tooltable.observe",
            "verification.run",
        },
    ),
    Role(
        id="gateway",
        display_name="Gateway",
        description="For a program beside a control: sends its tool table, reads whether it may "
        "start. Bind its key to its machines.",
        permissions=frozenset(
            {"machines.read", "readiness.read", "tooltable.observe", "tooltable.read"}
        ),
    ),
    Role(
        id="auditor",
        display_name="Auditor",
        description="For who checks the others: reads everything, users and keys included, and "
        "changes nothing.",
        permissions=SHOP_READS | {"apikeys.read", "audit.read", "users.read"},
    ),
    Role(
        id="viewer",
        display_name="Viewer",
        description="For a screen on the wall and for guests: reads how the shop is set up, and "
        "nothing of users and keys.",
        permissions=SHOP_READS,
    ),
)

BUILT_IN: dict[str, Role] = {role.id: role for role in _ROLES}
"""By id, in the order of lists."""
