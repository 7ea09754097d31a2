"""A connection that closes when the head of a request does not come.

uvicorn (0.54) waits for ever there: its only timeout is for silence between two requests, and every
byte puts an end to it, so that one byte a minute holds a connection open.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol


class PatientProtocol(H11Protocol):
    """Closed when ``head_seconds`` pass without a whole head. Slow bodies are for the routes."""

    head_seconds = 10.0
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """As in uvicorn; the clock runs from here."""
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """As in uvicorn; the clock stops with a whole head, and with nothing less."""
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """As in uvicorn."""
        self._stop()
        super().connection_lost(exc)

    def _watch(self) -> None:
        cycle: Any = self.cycle  # None before the first request, whatever uvicorn's types say
        if cycle is not None and not cycle.response_complete:
            self._stop()
        elif self._timer is None:
            self._timer = self.loop.call_later(self.head_seconds, self.transport.close)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def patient(head_seconds: float) -> type[PatientProtocol]:
    """The protocol with that patience: uvicorn wants a class."""
    return type("PatientProtocol", (PatientProtocol,), {"head_seconds": head_seconds})
