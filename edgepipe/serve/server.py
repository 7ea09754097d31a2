"""The server itself: a socket, uvicorn, a bundle, and an end in good order."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Literal

import uvicorn

from edgepipe import runtime
from edgepipe.errors import StageError, UsageError
from edgepipe.runtime import TextClassifier
from edgepipe.runtime.aio import AsyncClassifier
from edgepipe.runtime.batching import BUDGET
from edgepipe.runtime.cpu import concurrency, usable_cores
from edgepipe.serve.app import application
from edgepipe.serve.connection import patient
from edgepipe.serve.limits import Limits
from edgepipe.serve.metrics import Metrics
from edgepipe.serve.service import Loaded, Service

_KEEP_ALIVE = 5
"""Seconds that a connection may stay silent between two requests."""
_HEAD_BYTES = 16384
_BACKLOG = 1024
_AFTER = 5
"""Seconds beyond the deadline of a request until a leaving server cuts it off."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Where and how a bundle is served."""

    host: str = "127.0.0.1"
    port: int = 8000
    """0 takes any that is free."""
    variant: str = "auto"
    device: Literal["cpu", "cuda", "auto"] = "cpu"
    threads: int = 1
    workers: int | None = None
    """None: what the threads leave of the cores; on CUDA, one."""
    queue: int = 512
    budget: int = BUDGET
    delay: float = 0.0
    exact: bool = True
    limits: Limits = field(default_factory=Limits)


def serve(bundle: Path, settings: Settings, announce: Callable[[str], None]) -> None:
    """``bundle`` was served until a signal came, and every accepted request has had its answer.

    ``announce`` gets one line once requests are taken. Raises what ``runtime.load`` raises,
    StageError when the address cannot be had or requests had to be cut off, and KeyboardInterrupt
    at the second Ctrl-C.
    """
    with listen(settings.host, settings.port) as listener:
        asyncio.run(_serve(bundle, settings, listener, announce))


async def _serve(
    bundle: Path, settings: Settings, listener: socket.socket, announce: Callable[[str], None]
) -> None:
    service = Service(settings.limits)
    server = Server(service)
    running = asyncio.create_task(server.serve([listener]))
    try:
        with await asyncio.to_thread(_load, bundle, settings) as classifier:
            async with _front(classifier, settings, service.metrics) as front:
                name = classifier.manifest.name
                service.loaded = Loaded(name, classifier.labels, classifier, front)
                await server.up.wait()
                if service.ready:
                    announce(f"{name} ({classifier.variant.name}) at {_address(listener)}")
                await running
    finally:
        server.should_exit = True
        await running
    if server.force_exit:
        raise KeyboardInterrupt
    if service.cut:
        raise StageError(f"{service.cut} requests took too long and were cut off")


def _load(bundle: Path, settings: Settings) -> TextClassifier:
    return runtime.load(
        bundle, device=settings.device, variant=settings.variant, threads=settings.threads
    )


def _workers(classifier: TextClassifier, threads: int) -> int:
    if classifier.explain()["device"] == "cuda":
        return 1
    return concurrency(threads, None, usable_cores()).workers


def _front(classifier: TextClassifier, settings: Settings, metrics: Metrics) -> AsyncClassifier:
    return AsyncClassifier(
        classifier,
        workers=settings.workers or _workers(classifier, settings.threads),
        budget=settings.budget,
        delay=settings.delay,
        queue=settings.queue,
        exact=settings.exact,
        on_batch=metrics.batch,
    )


class Server(uvicorn.Server):
    """As uvicorn's, but it ends a signal with its work done, in place of the signal's own death."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self.up = asyncio.Event()
        """Set when the socket is served, or when it never will be."""
        super().__init__(_config(service))

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Connections are accepted."""
        await super().startup(sockets)
        self.up.set()

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """A signal came, and every accepted request has its answer."""
        try:
            await super().serve(sockets)
        finally:
            self.up.set()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Not ready any more, and on the way out; a second Ctrl-C does not wait."""
        self._service.draining = True
        super().handle_exit(sig, frame)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Where uvicorn would raise the signal again at the end, and die of it."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        numbers = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.signal(number, self.handle_exit) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _config(service: Service) -> uvicorn.Config:
    limits = service.limits
    return uvicorn.Config(
        application(service),
        http=patient(limits.head_seconds),
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="error",  # errors reach standard error; what clients do wrong does not
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=limits.connections,
        timeout_keep_alive=_KEEP_ALIVE,
        timeout_graceful_shutdown=math.ceil(limits.seconds) + _AFTER,
        h11_max_incomplete_event_size=_HEAD_BYTES,
    )


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens. Raises UsageError for no such host, StageError for a port in use."""
    try:
        # Without the protocol, asyncio leaves Nagle's algorithm on: 40 ms for many an answer
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
        family, kind, protocol, _, address = found[0]
        return _bound(socket.socket(family, kind, protocol), address)
    except (socket.gaierror, UnicodeError) as error:
        raise UsageError(f"--host {host!r} is no address of this machine: {error}") from error
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise StageError(
            f"cannot listen on {host} port {port}: {reason}; choose another --port, or 0 for any"
        ) from error


def _bound(made: socket.socket, address: Any) -> socket.socket:
    try:
        if os.name == "posix":  # elsewhere it would let two servers have one port
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
        made.listen(_BACKLOG)
    except BaseException:
        made.close()
        raise
    return made


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
