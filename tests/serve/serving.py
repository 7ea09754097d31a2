"""A service around a classifier: in this process without a socket, or in a thread with one."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from edgepipe.runtime.aio import AsyncClassifier, Inferring
from edgepipe.serve.app import application
from edgepipe.serve.limits import Limits
from edgepipe.serve.server import Server, listen
from edgepipe.serve.service import Loaded, Service
from tests.runtime.gated import PATIENCE

LABELS = ("negative", "positive", "neutral")
JSON = [(b"content-type", b"application/json")]


def awaited(work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    async def main() -> Any:
        async with asyncio.timeout(PATIENCE):
            return await work()

    return asyncio.run(main())


@contextlib.asynccontextmanager
async def loaded(
    classifier: Inferring, service: Service, labels: Sequence[str] = LABELS, **options: Any
) -> AsyncIterator[None]:
    """``service`` has a model, called tiny."""
    async with AsyncClassifier(classifier, on_batch=service.metrics.batch, **options) as front:
        service.loaded = Loaded("tiny", tuple(labels), classifier, front)
        yield


@contextlib.asynccontextmanager
async def served(
    classifier: Inferring, limits: Limits | None = None, **options: Any
) -> AsyncIterator[tuple[httpx.AsyncClient, Service]]:
    """A client of the application; an error that nobody handles is raised in the test."""
    service = Service(limits or Limits())
    transport = httpx.ASGITransport(application(service))
    async with (
        loaded(classifier, service, **options),
        httpx.AsyncClient(transport=transport, base_url="http://test") as client,
    ):
        yield client, service


@contextlib.contextmanager
def listening(
    classifier: Inferring, limits: Limits | None = None, **options: Any
) -> Iterator[tuple[int, Service]]:
    """The port of a server that runs in a thread."""
    service = Service(limits or Limits())
    server: list[Server] = []
    up = threading.Event()

    async def main(listener: socket.socket) -> None:
        async with loaded(classifier, service, **options):
            server.append(Server(service))
            running = asyncio.create_task(server[0].serve([listener]))
            await server[0].up.wait()
            up.set()
            await running

    with listen("127.0.0.1", 0) as listener:
        thread = threading.Thread(target=lambda: asyncio.run(main(listener)), daemon=True)
        thread.start()
        try:
            assert up.wait(PATIENCE)
            yield listener.getsockname()[1], service
        finally:
            server[0].should_exit = True
            thread.join(PATIENCE)
            assert not thread.is_alive()


@dataclass
class Reply:
    """What an application sent."""

    status: int = 0
    headers: dict[bytes, bytes] = field(default_factory=dict)
    body: bytes = b""

    def json(self) -> Any:
        return json.loads(self.body)


async def asked(  # noqa: PLR0913 - a request has that many parts
    app: Any,
    method: str,
    path: str,
    chunks: Sequence[bytes] = (b"",),
    headers: Sequence[tuple[bytes, bytes]] = JSON,
    *,
    broken_off: bool = False,
    into: Reply | None = None,
) -> Reply:
    """One request over plain ASGI, ten times quicker than httpx. ``broken_off``: it never ends."""
    messages = [
        {"type": "http.request", "body": chunk, "more_body": broken_off or n + 1 < len(chunks)}
        for n, chunk in enumerate(chunks)
    ]
    remaining, answered, found = iter(messages), asyncio.Event(), into or Reply()

    async def receive() -> Mapping[str, Any]:
        for message in remaining:
            return message
        if not broken_off:
            await answered.wait()
        return {"type": "http.disconnect"}

    async def send(message: Mapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            found.status, found.headers = message["status"], dict(message["headers"])
        else:
            found.body += message["body"]

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "path": path,
        "raw_path": path.encode(errors="replace"),
        "root_path": "",
        "scheme": "http",
        "query_string": b"",
        "headers": list(headers),
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    await app(scope, receive, send)
    answered.set()
    return found
