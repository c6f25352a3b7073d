"""Lists, page by page, as iterators."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any, Generic, Protocol, TypeVar

T = TypeVar("T")


class _PagedRequest(Protocol):
    page_token: str


class _PagedResponse(Protocol):
    next_page_token: str


Request = TypeVar("Request", bound=_PagedRequest)
Response = TypeVar("Response", bound=_PagedResponse)


class Pager(AsyncIterator[T], Generic[T]):
    """The items of a list; pages are fetched as they are needed."""

    def __init__(
        self,
        call: Callable[[Request], Awaitable[Response]],
        request: Request,
        items: Callable[[Response], Iterable[T]],
    ) -> None:
        """Makes an iterator over the items of all pages.

        Args:
            call: the List method of a stub.
            request: its request; page_token is filled in here.
            items: the items of a reply.
        """
        self._call: Callable[[Any], Awaitable[Any]] = call
        self._request: Any = request
        self._items: Callable[[Any], Iterable[T]] = items
        self._page: deque[T] = deque()
        self._last = False
        self._resume_token = ""

    @property
    def resume_token(self) -> str:
        """Where the list was read in the change log; set once the first item was asked for.

        `AsyncClient.watch` with it misses nothing that happened since.
        """
        return self._resume_token

    def __aiter__(self) -> Pager[T]:
        return self

    async def __anext__(self) -> T:
        while not self._page:
            if self._last:
                raise StopAsyncIteration
            await self._fetch()
        return self._page.popleft()

    async def all(self) -> list[T]:
        """All items that are left, as a list."""
        return [item async for item in self]

    async def _fetch(self) -> None:
        response = await self._call(self._request)
        self._page.extend(self._items(response))
        # Security events are in no change log, so their list has no position in it.
        self._resume_token = self._resume_token or getattr(response, "resume_token", "")
        self._request.page_token = response.next_page_token
        self._last = not response.next_page_token
