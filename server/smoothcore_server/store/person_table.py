"""Who users are: e-mail and display name, beside the account and never in the change log."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, bindparam, select

from smoothcore_server.domain.user import Person
from smoothcore_server.store import models

_C = models.person.c
_BY_EMAIL = select(_C.user_id).where(
    _C.organization_id == bindparam("organization"), _C.email_key == bindparam("email_key")
)
NOBODY = Person()
"""What is known of a user who was erased."""


class PersonTable:
    """What is known about the users of one organization."""

    def __init__(self, connection: Connection, organization: str) -> None:
        self._connection = connection
        self._organization = organization

    def get(self, user_id: str) -> Person:
        """Who a user is; nobody once it was erased."""
        return self.of([user_id]).get(user_id, NOBODY)

    def of(self, user_ids: Iterable[str]) -> dict[str, Person]:
        """Who these users are, by id."""
        query = select(_C.user_id, _C.email, _C.display_name).where(
            _C.organization_id == self._organization, _C.user_id.in_(list(user_ids))
        )
        return {row[0]: Person(row[1], row[2]) for row in self._connection.execute(query)}

    def find_by_email(self, email: str) -> str | None:
        """The id of the user who has this address, in whatever case it is written."""
        parameters = {
            "organization": self._organization,
            "email_key": Person(email).email_key,
        }
        found: str | None = self._connection.execute(_BY_EMAIL, parameters).scalar()
        return found

    def put(self, user_id: str, person: Person) -> None:
        """Note who a user is, in place of what was noted before."""
        self.erase(user_id)
        self._connection.execute(
            models.person.insert().values(
                organization_id=self._organization,
                user_id=user_id,
                email=person.email,
                email_key=person.email_key,
                display_name=person.display_name,
            )
        )

    def erase(self, user_id: str) -> None:
        """Forget who a user is."""
        self._connection.execute(
            models.person.delete().where(
                _C.organization_id == self._organization, _C.user_id == user_id
            )
        )
