"""No credential makes one that is stronger than itself: the one rule for keys, users and roles."""

from __future__ import annotations

from collections.abc import Iterable

from smoothcore_server.domain.errors import ErrorReason, PermissionDeniedError
from smoothcore_server.domain.principal import Principal, Reach


def refuse_stronger(wanted: Reach, maker: Principal) -> None:
    """Raise PermissionDeniedError unless all that ``wanted`` may do, ``maker`` may do as well.

    Asked of what is made, of what is changed before and after, and of users whose password is set
    or who are deleted: who can log in as somebody is as strong as they are.
    """
    refuse_permissions(wanted.permissions, maker)
    if maker.machines and not (wanted.machines and wanted.machines <= maker.machines):
        raise denied("you are bound to machines, so it must be bound to those or fewer")
    end = maker.grants_until
    if end is not None and (wanted.expire_time is None or wanted.expire_time > end):
        raise denied("your key expires, so it cannot make or change what lives longer")
    if maker.client and wanted.client != maker.client:
        raise denied(f"your key belongs to client {maker.client!r}, and this would not")


def refuse_permissions(wanted: Iterable[str], maker: Principal) -> None:
    """Raise PermissionDeniedError for a permission that ``maker`` does not hold."""
    more = sorted(item for item in wanted if not maker.may(item))
    if more:
        raise denied(f"it may {more[0]!r}, which you may not: ask an administrator", more[0])


def denied(message: str, permission: str = "") -> PermissionDeniedError:
    """The error for what would go beyond its maker."""
    return PermissionDeniedError(
        ErrorReason.PERMISSION_DENIED, message, metadata={"permission": permission}
    )
