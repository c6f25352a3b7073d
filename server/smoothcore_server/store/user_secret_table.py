"""The hashes of passwords, beside the account: no read of a user can show one."""

from __future__ import annotations

from sqlalchemy import Connection, select

from smoothcore_server.store import models

_C = models.user_secret.c


class UserSecretTable:
    """The password hashes of one organization."""

    def __init__(self, connection: Connection, organization: str) -> None:
        self._connection = connection
        self._organization = organization

    def get(self, user_id: str) -> str | None:
        """The hash of a user's password, as `PasswordHasher` makes it; None without one."""
        query = select(_C.password_hash).where(
            _C.organization_id == self._organization, _C.user_id == user_id
        )
        found: str | None = self._connection.execute(query).scalar()
        return found

    def put(self, user_id: str, password_hash: str) -> None:
        """Set the hash of a user's password."""
        self.erase(user_id)
        self._connection.execute(
            models.user_secret.insert().values(
                organization_id=self._organization, user_id=user_id, password_hash=password_hash
            )
        )

    def erase(self, user_id: str) -> None:
        """Take a user's password away."""
        self._connection.execute(
            models.user_secret.delete().where(
                _C.organization_id == self._organization, _C.user_id == user_id
            )
        )
