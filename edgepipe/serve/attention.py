"""Notice when a client goes away, so that nothing is computed for nobody."""

from __future__ import annotations

import asyncio
from types import TracebackType

from starlette.requests import Request

from edgepipe.serve.exchange import GONE, RefusedError

_SOON = 0.02
"""Seconds before it is worth looking: most answers are there before, and a look costs a task."""


class Attended:
    """Inside of it, a client that goes ends the work with RefusedError 499.

    Enter it once the body has been read: from then on ASGI can only say that the client has gone.
    """

    def __init__(self, request: Request) -> None:
        self._request = request
        self._worker: asyncio.Task[object] | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._gone = False

    def __enter__(self) -> None:
        self._worker = asyncio.current_task()
        self._timer = asyncio.get_running_loop().call_later(_SOON, self._look)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._timer.cancel()
        if self._watcher:
            self._watcher.cancel()
        ours = self._gone and kind is asyncio.CancelledError
        if ours and self._worker and not self._worker.uncancel():
            raise RefusedError(GONE, "the client has gone") from error

    def _look(self) -> None:
        self._watcher = asyncio.get_running_loop().create_task(self._watch())

    async def _watch(self) -> None:
        await self._request.receive()
        self._gone = True
        if self._worker:
            self._worker.cancel()
