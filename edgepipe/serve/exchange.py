"""JSON in and out of HTTP, within limits, with one kind of error."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import NoReturn

from starlette.requests import Request
from starlette.responses import Response

from edgepipe.serve.limits import Limits

RETRY = {"Retry-After": "1"}
CLOSE = {"Connection": "close"}
GONE = 499
"""The status that is counted, as nginx does, when a client has gone without its answer."""
_LINGER = 4
"""A body is read, and thrown away, up to this many times its limit: a client that is still sending
would otherwise see a broken connection in place of the answer."""


class RefusedError(Exception):
    """A request gets this status and message, as ``{"error": message}``."""

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers


def reply(content: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """``content`` as JSON in ASCII, so that no text can break its encoding."""
    body = json.dumps(content, separators=(",", ":"), allow_nan=False)
    return Response(body, status, headers, media_type="application/json")


async def read_json(request: Request, limits: Limits) -> object:
    """The body's value. Raises RefusedError for too large, too slow, or no JSON in UTF-8."""
    _check_headers(request)
    try:
        async with asyncio.timeout(limits.seconds):
            body = await _read(request, limits.body)
    except TimeoutError as error:
        message = f"the body did not come within {limits.seconds:g} seconds"
        raise RefusedError(408, message, CLOSE) from error
    try:
        return _DECODER.decode(body.decode("utf-8"))
    except RecursionError as error:
        raise RefusedError(400, "the body is nested too deeply") from error
    except ValueError as error:  # no UTF-8, no JSON, or a number of thousands of digits
        raise RefusedError(400, "the body is not JSON in UTF-8") from error


def _check_headers(request: Request) -> None:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise RefusedError(415, "send the header Content-Type: application/json", CLOSE)
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise RefusedError(415, "send the body without a Content-Encoding", CLOSE)


async def _read(request: Request, limit: int) -> bytes:
    """The body, whether its length was declared or not."""
    declared = request.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and _digits(declared) > limit * _LINGER:
        raise _too_large(limit)
    body, seen = bytearray(), 0
    async for chunk in request.stream():
        seen += len(chunk)
        if seen <= limit:
            body += chunk
        elif seen > limit * _LINGER:
            break
    if seen > limit:
        raise _too_large(limit)
    return bytes(body)


def _digits(declared: str) -> int:
    return int(declared[:20])


def _too_large(limit: int) -> RefusedError:
    return RefusedError(413, f"the body has more than {limit} bytes", CLOSE)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_no_constant)
