"""How many resources an organization may have."""

from __future__ import annotations

from smoothcore_server.domain.change import ChangeKind
from smoothcore_server.domain.errors import ErrorReason, ResourceExhaustedError
from smoothcore_server.store import nouns
from smoothcore_server.store.transaction import Transaction


def check(tx: Transaction) -> None:
    """Raise ResourceExhaustedError where a transaction makes more than the operator allows.

    Counted where there is a limit and something is made, and not kept as a number: most
    organizations have none. What is only changed or deleted is always allowed.
    """
    limit = tx.head.max_resources
    kinds = [change.kind for change in tx.changes]
    if not limit or kinds.count(ChangeKind.CREATED) <= kinds.count(ChangeKind.DELETED):
        return
    have = sum(tx.of(noun).count() for noun in nouns.NOUNS)
    if have > limit:
        raise ResourceExhaustedError(
            ErrorReason.QUOTA_EXCEEDED,
            f"your organization may have {limit} resources, and this would make them {have}; "
            "delete what is not needed, or ask the operator of this server for more",
            metadata={"limit": str(limit)},
        )
