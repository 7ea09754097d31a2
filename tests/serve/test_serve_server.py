"""A server on a socket: slow clients, many clients, and the way out."""

from __future__ import annotations

import concurrent.futures
import contextlib
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest

from edgepipe.errors import StageError, UsageError
from edgepipe.runtime import TextClassifier
from edgepipe.serve import server
from edgepipe.serve.app import application
from edgepipe.serve.connection import PatientProtocol
from edgepipe.serve.limits import Limits
from edgepipe.serve.server import listen
from edgepipe.serve.service import Service
from tests.runtime.gated import PATIENCE, Gated
from tests.serve.serving import asked, awaited, listening, loaded

HEAD = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


def connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), PATIENCE)


def rest(wire: socket.socket) -> bytes:
    """All that comes until the other side closes; a test that waits for ever fails in recv."""
    return b"".join(iter(lambda: wire.recv(65536), b""))


@pytest.mark.parametrize("head", [b"", b"POST", HEAD])
def test_a_head_that_does_not_come_closes_the_connection(gated: Gated, head: bytes) -> None:
    with listening(gated, Limits(head_seconds=0.1)) as (port, _), connected(port) as wire:
        wire.sendall(head)
        assert rest(wire) == b""


def test_a_byte_now_and_then_does_not_help(gated: Gated) -> None:
    with listening(gated, Limits(head_seconds=0.2)) as (port, _), connected(port) as wire:
        begin = time.monotonic()
        with contextlib.suppress(ConnectionError):
            while time.monotonic() < begin + PATIENCE:
                wire.sendall(b"X")
                wire.settimeout(0.02)
                with contextlib.suppress(TimeoutError):
                    assert wire.recv(1) == b""
                    break
        assert time.monotonic() < begin + PATIENCE


def test_nor_after_a_first_request(gated: Gated) -> None:
    gated.gate.set()
    with listening(gated, Limits(head_seconds=1)) as (port, _), connected(port) as wire:
        wire.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        found = b""
        while not found.endswith(b"}"):
            found += wire.recv(65536)
        assert found.startswith(b"HTTP/1.1 200 OK")
        wire.sendall(b"GET /hea")
        assert rest(wire) == b""


def test_a_body_that_does_not_come_is_408(gated: Gated) -> None:
    with listening(gated, Limits(seconds=0.1)) as (port, _), connected(port) as wire:
        wire.sendall(HEAD + b"Content-Length: 9\r\n\r\n{")
        assert rest(wire).startswith(b"HTTP/1.1 408 ")


def test_waiting_for_a_slow_model_is_nobodys_fault(gated: Gated) -> None:
    """The clock for the head does not run while an answer is made."""
    body = b'{"text": "1"}'
    with listening(gated, Limits(head_seconds=1)) as (port, _), connected(port) as wire:
        wire.sendall(HEAD + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        assert gated.began.acquire(timeout=PATIENCE)
        wire.settimeout(1.5)
        with pytest.raises(TimeoutError):
            wire.recv(1)
        wire.settimeout(PATIENCE)
        gated.gate.set()
        assert rest(wire).startswith(b"HTTP/1.1 200 OK")


def test_a_body_far_too_large_gets_its_answer_before_the_end(gated: Gated) -> None:
    with listening(gated, Limits(body=1000)) as (port, _), connected(port) as wire:
        wire.sendall(HEAD + b"Content-Length: 999999999999\r\n\r\n")
        assert rest(wire).startswith(b"HTTP/1.1 413 ")


def test_a_body_somewhat_too_large_is_read_so_that_the_answer_arrives(gated: Gated) -> None:
    with listening(gated, Limits(body=100_000)) as (port, _):
        for _ in range(20):
            found = httpx.post(f"http://127.0.0.1:{port}/predict", json={"text": "x" * 300_000})
            assert found.status_code == 413


def test_one_connection_serves_many_requests_without_delay(
    gated: Gated, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[bool] = []
    original = PatientProtocol.connection_made

    def noted(self: PatientProtocol, transport: object) -> None:
        wire = transport.get_extra_info("socket")  # type: ignore[attr-defined]
        made.append(wire.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0)
        original(self, transport)  # type: ignore[arg-type]

    monkeypatch.setattr(PatientProtocol, "connection_made", noted)
    gated.gate.set()
    with (
        listening(gated) as (port, _),
        httpx.Client(base_url=f"http://127.0.0.1:{port}") as client,
    ):
        for _ in range(5):
            assert client.post("/predict", json={"text": "1"}).status_code == 200
    assert made == [True]  # with Nagle's algorithm each answer would wait for 40 ms


def test_beyond_so_many_connections_is_503(gated: Gated) -> None:
    with listening(gated, Limits(connections=3)) as (port, _), contextlib.ExitStack() as stack:
        for _ in range(3):
            wire = stack.enter_context(connected(port))
        wire.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert rest(wire).startswith(b"HTTP/1.1 503 ")


def test_what_is_cut_off_is_told_and_counted(gated: Gated) -> None:
    async def work() -> None:
        import asyncio

        service = Service(Limits())
        async with loaded(gated, service):
            app = application(service)
            task = asyncio.create_task(asked(app, "POST", "/predict", [b'{"text": "1"}']))
            await gated.busy()
            task.cancel()
            found = await task
            assert (found.status, found.headers[b"connection"]) == (503, b"close")
            gated.gate.set()
        assert service.cut == 1

    awaited(work)


def test_answers_on_many_connections_are_the_direct_ones(classifier: TextClassifier) -> None:
    words = ["good", "bad", "film", "the", "very", "else"]
    texts = [" ".join(words[(n * k) % 6] for k in range(1, 2 + n % 9)) for n in range(160)]

    def client(own: list[str]) -> list[object]:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE) as wire:
            return [wire.post("/predict", json={"text": text}).json() for text in own]

    with (
        listening(classifier, workers=2) as (port, _),
        concurrent.futures.ThreadPoolExecutor(8) as pool,
    ):
        found = list(pool.map(client, [texts[n::8] for n in range(8)]))
    for n, answers in enumerate(found):
        for text, answer in zip(texts[n::8], answers, strict=True):
            ((only,), (direct,)) = (answer, classifier(text))
            assert only["label"] == direct["label"]  # type: ignore[index]
            assert only["score"] == pytest.approx(direct["score"], rel=1e-5)  # type: ignore[index]


def test_a_port_in_use_is_said_so() -> None:
    with listen("127.0.0.1", 0) as first, pytest.raises(StageError, match="address already in use"):
        listen("127.0.0.1", first.getsockname()[1])


@pytest.mark.parametrize(
    ("device", "threads", "workers"), [("cpu", 1, 8), ("cpu", 3, 2), ("cpu", 9, 1), ("cuda", 1, 1)]
)
def test_workers_take_what_the_threads_leave_of_the_cores(
    monkeypatch: pytest.MonkeyPatch, device: str, threads: int, workers: int
) -> None:
    monkeypatch.setattr(server, "usable_cores", lambda: 8)
    model = SimpleNamespace(explain=lambda: {"device": device})
    assert server._workers(model, threads) == workers  # type: ignore[arg-type]


@pytest.mark.parametrize("host", ["no.such.host.invalid", "a" * 70, "\ud800"])
def test_a_host_that_is_none_is_said_so(host: str) -> None:
    with pytest.raises(UsageError, match="no address of this machine"):
        listen(host, 0)


@contextlib.contextmanager
def program(*args: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """``serve`` in a process of its own, with a gated model, and its address if it is loaded."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.serve.gated_program", *args],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout
            yield process, "" if args else process.stdout.readline().split()[-1]
        finally:
            process.kill()


def free_port() -> int:
    with listen("127.0.0.1", 0) as found:
        port: int = found.getsockname()[1]
        return port


def status(address: str) -> int:
    """0 while nobody listens."""
    try:
        return httpx.get(address).status_code
    except httpx.TransportError:
        return 0


@pytest.mark.parametrize("leaves", [False, True])
def test_while_it_loads_it_is_alive_and_not_ready(*, leaves: bool) -> None:
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    with program(str(port)) as (process, _):
        end = time.monotonic() + PATIENCE
        while status(f"{address}/health") != 200:
            assert time.monotonic() < end
            time.sleep(0.01)
        assert status(f"{address}/ready") == 503
        if leaves:
            process.terminate()
        tell(process, "load")
        assert process.stdout
        if not leaves:
            assert process.stdout.readline() == f"gated (fake) at {address}\n"
            assert status(f"{address}/ready") == 200
            process.terminate()
        assert process.wait(PATIENCE) == 0
        assert process.stdout.read() == ""


def tell(process: subprocess.Popen[str], word: str) -> None:
    assert process.stdin
    process.stdin.write(f"{word}\n")
    process.stdin.flush()


def until_waiting(address: str, count: int) -> None:
    end = time.monotonic() + PATIENCE
    while f"edgepipe_waiting_texts {count}.0" not in httpx.get(f"{address}/metrics").text:
        assert time.monotonic() < end
        time.sleep(0.01)


def until_not_ready(address: str) -> None:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            if httpx.get(f"{address}/ready").status_code == 503:
                return
        except httpx.TransportError:  # it does not even listen any more
            return
    raise AssertionError


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_accepted_requests_finish(number: signal.Signals) -> None:
    clients = 20
    with program() as (process, address), concurrent.futures.ThreadPoolExecutor(clients) as pool:
        calls = [
            pool.submit(httpx.post, f"{address}/predict", json={"text": str(n)}, timeout=PATIENCE)
            for n in range(clients)
        ]
        until_waiting(address, clients - 1)
        process.send_signal(number)
        until_not_ready(address)
        assert not any(call.done() for call in calls)
        tell(process, "open")
        for n, call in enumerate(calls):
            found = call.result(PATIENCE)
            assert found.status_code == 200
            assert found.json() == [{"label": str(n), "score": 1.0}]
        assert process.wait(PATIENCE) == 0
        assert process.stderr
        assert process.stderr.read() == ""


def test_a_second_interrupt_does_not_wait() -> None:
    with program() as (process, address), concurrent.futures.ThreadPoolExecutor(1) as pool:
        call = pool.submit(httpx.post, f"{address}/predict", json={"texts": ["1", "2"]})
        until_waiting(address, 1)
        process.send_signal(signal.SIGINT)
        until_not_ready(address)
        process.send_signal(signal.SIGINT)
        tell(process, "open")  # what a worker has begun it finishes
        assert process.wait(PATIENCE) == 130
        with contextlib.suppress(httpx.TransportError):
            call.result(PATIENCE)
