"""People: who may log in, and what they may do."""

from __future__ import annotations

import re
from dataclasses import field
from datetime import datetime

from smoothcore_server.domain.record import record
from smoothcore_server.domain.resource import Meta

EXTERNAL_PREFIX = "oidc-"
"""How the ids of people begin whom an external issuer knows; none of ours has such an id."""
_EMAIL = re.compile(r"[^\s@]+@[^\s@.]+(?:\.[^\s@.]+)*")


def is_email(text: str) -> bool:
    """Whether a text looks like an e-mail address; whether mail arrives there nobody can tell."""
    return _EMAIL.fullmatch(text) is not None


@record(frozen=True, slots=True)
class User:
    """A person in an organization, as the change log knows them: by id, with no word about who
    they are. That stands in `Person`, which can be erased without touching the log."""

    id: str
    roles: frozenset[str] = frozenset()
    """Ids of the roles whose permissions they have together."""
    machines: frozenset[str] = frozenset()
    """Ids of the machines they are bound to; empty for all."""
    disabled: bool = False
    """Whether they are kept out, until somebody lets them in again."""
    password_time: datetime | None = None
    """When their password was last set; None without one."""
    sessions_valid_after: datetime | None = None
    """A session that began before this is over: somebody else has set their password, or they were
    disabled."""
    erase_time: datetime | None = None
    """When what was known about the person was erased."""
    meta: Meta = field(default=Meta(), compare=False)

    @property
    def name(self) -> str:
        """The resource name."""
        return f"users/{self.id}"


@record(frozen=True, slots=True)
class Person:
    """Who a user is. Never in the change log, in an idempotency record or in a log line."""

    email: str = ""
    """As they write it; unique in the organization without regard to case."""
    display_name: str = ""

    @property
    def email_key(self) -> str:
        """What e-mail addresses are compared by."""
        return self.email.casefold()
