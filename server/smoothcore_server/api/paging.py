"""Page tokens (AIP-158): opaque, authenticated, and good for one caller's one list only."""

from __future__ import annotations

import base64
import binascii
import hmac
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from google.protobuf.message import Message

from smoothcore_server.app.call import current_call
from smoothcore_server.domain.errors import ErrorReason, InvalidArgumentError

DEFAULT_SIZE = 100
MAX_SIZE = 1_000
_MAC = 16


def page_size(asked: int) -> int:
    """How many a page holds: 100 unless asked, 1000 at most."""
    return min(asked or DEFAULT_SIZE, MAX_SIZE)


class PageTokens:
    """Makes and reads page tokens."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def make(self, request: Message, last: Sequence[Any]) -> str:
        """The token for the page behind a key."""
        body = json.dumps([_to_json(part) for part in last]).encode()
        return base64.urlsafe_b64encode(self._mac(request, body) + body).decode()

    def read(self, request: Message) -> list[Any] | None:
        """The key that a request wants to go on behind; None on the first page.

        Raises InvalidArgumentError for a token that was not made for this caller and this list.
        """
        token: str = getattr(request, "page_token", "")
        if not token:
            return None
        try:
            raw = base64.b64decode(token.encode("ascii"), altchars=b"-_", validate=True)
        except (ValueError, binascii.Error):
            raw = b""
        mac, body = raw[:_MAC], raw[_MAC:]
        if not hmac.compare_digest(mac, self._mac(request, body)):
            raise InvalidArgumentError(
                ErrorReason.INVALID_PAGE_TOKEN,
                "page_token does not belong to this list; start again without it",
            )
        return [_from_json(part) for part in json.loads(body)]

    def _mac(self, request: Message, body: bytes) -> bytes:
        """Binds a token to caller, method and all fields but those that may change per page."""
        call = current_call.get()
        bare = type(request)()
        bare.CopyFrom(request)
        bare.ClearField("page_token")
        bare.ClearField("page_size")
        caller = call.principal
        context = "\x00".join(
            (call.method, caller.organization if caller else "", caller.name if caller else "")
        )
        content = bare.SerializeToString(deterministic=True)
        parts = (context.encode(), content, body)
        text = b"".join(len(part).to_bytes(8, "big") + part for part in parts)
        return hmac.digest(self._key, text, "sha256")[:_MAC]


def _to_json(part: Any) -> Any:
    return {"time": part.isoformat()} if isinstance(part, datetime) else part


def _from_json(part: Any) -> Any:
    return datetime.fromisoformat(part["time"]) if isinstance(part, dict) else part
