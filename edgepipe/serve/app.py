"""All routes as one ASGI application, with metrics and headers around them."""

from __future__ import annotations

import asyncio
import time
from typing import cast

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edgepipe.serve.exchange import CLOSE, GONE, RefusedError, reply
from edgepipe.serve.inference import OpenInference
from edgepipe.serve.plain import Plain
from edgepipe.serve.service import Service

_ALWAYS = ((b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store"))
_LAST = (b"connection", b"close")


def application(service: Service) -> ASGIApp:
    """The application that answers for ``service``."""
    routed = Starlette(
        routes=[*Plain(service).routes(), *OpenInference(service).routes()],
        exception_handlers={
            RefusedError: _refused,
            HTTPException: _not_routed,
            ClientDisconnect: _gone,
            Exception: _broken,
        },
    )
    routed.router.redirect_slashes = False
    return _Frame(routed, service)


async def _refused(request: Request, error: Exception) -> Response:
    del request
    refused = cast("RefusedError", error)  # Starlette hands over what it was told to
    return reply({"error": str(refused)}, refused.status, refused.headers)


async def _not_routed(request: Request, error: Exception) -> Response:
    """Starlette's own 404 and 405."""
    del request
    found = cast("HTTPException", error)
    return reply({"error": found.detail}, found.status_code, found.headers)


async def _gone(request: Request, error: Exception) -> Response:
    del request, error
    return reply({"error": "the client has gone"}, GONE)


async def _broken(request: Request, error: Exception) -> Response:
    """The error itself goes to the server's log."""
    del request, error
    return reply({"error": "internal error"}, 500)


class _Frame:
    """Counts every request, and adds the headers that every answer has."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app = app
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begin, status = time.perf_counter(), 0

        async def framed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], *self._headers()]
            await send(message)

        try:
            await self._app(scope, receive, framed)
        except asyncio.CancelledError:  # the server's patience is over; no task is left to tell
            self._service.cut += 1
            if not status:
                stopped = reply({"error": "the server has shut down"}, 503, CLOSE)
                await stopped(scope, receive, framed)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            self._service.metrics.request(route, status, time.perf_counter() - begin)

    def _headers(self) -> tuple[tuple[bytes, bytes], ...]:
        return (*_ALWAYS, _LAST) if self._service.draining else _ALWAYS
