"""The bytes of programs, compressed."""

from __future__ import annotations

import zlib

from sqlalchemy import Connection, select

from smoothcore_server.store import models


class ProgramContentTable:
    """The stored contents of one organization."""

    def __init__(self, connection: Connection, organization: str) -> None:
        self._connection = connection
        self._organization = organization

    def put(self, program_id: str, compressed: bytes) -> None:
        """Store the content of a new program, compressed with `compress`."""
        self._connection.execute(
            models.program_content.insert().values(
                organization_id=self._organization, program_id=program_id, content=compressed
            )
        )

    def get(self, program_id: str) -> bytes | None:
        """The content of a program as it was uploaded."""
        c = models.program_content.c
        query = select(c.content).where(
            c.organization_id == self._organization, c.program_id == program_id
        )
        compressed = self._connection.execute(query).scalar()
        return None if compressed is None else zlib.decompress(compressed)


def compress(content: bytes) -> bytes:
    """What is stored of a content; slow for big ones, so done before the transaction."""
    return zlib.compress(content)
