"""The load on a server: MLPerf's LoadGen draws Poisson arrivals, and this sends each as HTTP.

A child process, so that it may have an environment and cores of its own. It needs
``mlcommons-loadgen`` and the standard library. Commands are JSON lines on standard input:

=========================================================  =====================================
command                                                    answer
=========================================================  =====================================
``{"do": "texts", "texts": […]}``                          ``{}``
``{"do": "single", "port": p, "count": n}``                one request after the other
``{"do": "poisson", "port": p, "rate": r, "seconds": s,    arrivals that wait for nobody; latency
"bound_ns": b, "seed": k}``                                counts from the time an arrival was due
=========================================================  =====================================

Both answer with LoadGen's verdict and percentiles, the statuses other than 200, the answers that
differ from the first one to the same text, and the CPU seconds of this process.
"""

from __future__ import annotations

import asyncio
import collections
import json
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import mlperf_loadgen

_PERCENTILES = ("50.00", "90.00", "99.00")


class Connection(asyncio.Protocol):
    """One request at a time over one kept connection."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._found = b""
        self._query = 0
        self._text = 0
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """By asyncio."""
        self._transport = transport

    def send(self, query: int, text: int) -> None:
        """The request is on its way."""
        self._query, self._text, self._found = query, text, b""
        self._transport.write(self._client.requests[text])

    def abort(self) -> None:
        """Gone at once."""
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """By asyncio."""
        self._found += data
        head, blank, body = self._found.partition(b"\r\n\r\n")
        if not blank:
            return
        length = next(
            int(line[15:])
            for line in head.lower().split(b"\r\n")
            if line[:15] == b"content-length:"
        )
        if len(body) == length:
            query, self._query = self._query, 0
            self._client.complete(query, self._text, head[9:12].decode(), body)
            if b"\r\nconnection: close" not in head.lower():
                self._client.idle.append(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """By asyncio."""
        del exc
        if self in self._client.idle:
            self._client.idle.remove(self)
        if self._query:
            self._client.complete(self._query, self._text, "lost", b"")


class Client:
    """Requests of one port, by an event loop in a thread of its own."""

    def __init__(self, port: int, texts: list[str]) -> None:
        self.requests = [_request(text) for text in texts]
        self.idle: list[Connection] = []
        self.wrong: collections.Counter[str] = collections.Counter()
        self.differing = 0
        self._first: dict[int, bytes] = {}
        self._port = port
        self._opening: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def issue(self, samples: list[mlperf_loadgen.QuerySample]) -> None:
        """LoadGen's call, in its own thread."""
        for sample in samples:
            self._loop.call_soon_threadsafe(self._send, sample.id, sample.index)

    def complete(self, query: int, text: int, status: str, body: bytes) -> None:
        """An answer came, or none will."""
        mlperf_loadgen.QuerySamplesComplete([mlperf_loadgen.QuerySampleResponse(query, 0, 0)])
        if status != "200":
            self.wrong[status] += 1
        elif self._first.setdefault(text, body) != body:
            self.differing += 1

    def close(self) -> None:
        """Nothing is open any more."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        for connection in self.idle:
            connection.abort()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    def _send(self, query: int, text: int) -> None:
        if self.idle:
            self.idle.pop().send(query, text)
            return
        task = self._loop.create_task(self._open(query, text))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _open(self, query: int, text: int) -> None:
        try:
            _, connection = await self._loop.create_connection(
                lambda: Connection(self), "127.0.0.1", self._port
            )
        except OSError:
            self.complete(query, text, "refused", b"")
            return
        connection.send(query, text)


def _request(text: str) -> bytes:
    body = json.dumps({"text": text}).encode()
    return (
        b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n" % len(body)
    ) + body


def _settings(command: dict[str, Any]) -> mlperf_loadgen.TestSettings:
    settings = mlperf_loadgen.TestSettings()
    settings.mode = mlperf_loadgen.TestMode.PerformanceOnly
    settings.min_query_count = command.get("count", 1)
    settings.min_duration_ms = int(1000 * command.get("seconds", 0))
    if command["do"] == "single":
        settings.scenario = mlperf_loadgen.TestScenario.SingleStream
        settings.max_query_count = command["count"]
        return settings
    settings.scenario = mlperf_loadgen.TestScenario.Server
    settings.server_target_qps = command["rate"]
    settings.server_target_latency_ns = command["bound_ns"]
    settings.server_target_latency_percentile = 0.99
    settings.schedule_rng_seed = settings.sample_index_rng_seed = command["seed"]
    return settings


def _run(client: Client, texts: int, command: dict[str, Any], folder: str) -> dict[str, Any]:
    """One test of LoadGen, whose log is its result."""
    output = mlperf_loadgen.LogOutputSettings()
    output.outdir, output.copy_summary_to_stdout = folder, False
    logs = mlperf_loadgen.LogSettings()
    logs.log_output, logs.enable_trace = output, False
    sut = mlperf_loadgen.ConstructSUT(client.issue, lambda: None)
    qsl = mlperf_loadgen.ConstructQSL(texts, texts, lambda _: None, lambda _: None)
    before = time.process_time()
    try:
        mlperf_loadgen.StartTestWithLogSettings(sut, qsl, _settings(command), logs, "no-audit")
    finally:
        mlperf_loadgen.DestroyQSL(qsl)
        mlperf_loadgen.DestroySUT(sut)
    return {**_found(Path(folder)), "load_cpu_s": time.process_time() - before}


def _found(folder: Path) -> dict[str, Any]:
    lines = (folder / "mlperf_log_detail.txt").read_text().splitlines()
    entries = [json.loads(line.removeprefix(":::MLLOG ")) for line in lines]
    said = {entry["key"]: entry["value"] for entry in entries}
    return {
        "kept": said.get("result_perf_constraints_met", True),
        "queries": said["result_query_count"],
        "arrived_per_s": said.get("result_scheduled_samples_per_sec"),
        "answered_per_s": said.get("result_completed_samples_per_sec"),
        "percentiles_ns": {p: said[f"result_{p}_percentile_latency_ns"] for p in _PERCENTILES},
    }


def main() -> None:
    """Answer commands until their end."""
    texts: list[str] = []
    for line in sys.stdin:
        command = json.loads(line)
        answer: dict[str, Any] = {}
        if command["do"] == "texts":
            texts = command["texts"]
        else:
            client = Client(command["port"], texts)
            with tempfile.TemporaryDirectory() as folder:
                answer = _run(client, len(texts), command, folder)
            client.close()
            answer |= {"wrong": dict(client.wrong), "differing": client.differing}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
