"""Servers and the load generator as processes, each on cores of its own choice."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
_PATIENCE_S = 60


@dataclass
class Arm:
    """A server that runs, and what is known of the rates it keeps."""

    name: str
    port: int
    process: subprocess.Popen[bytes]
    service_ns: list[int] = field(default_factory=list)
    trials: list[dict[str, Any]] = field(default_factory=list)

    def cpu_seconds(self) -> float:
        """Of the server so far, in user and kernel mode (proc(5): stat)."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Load:
    """The load generator's process."""

    def __init__(self, command: Sequence[str], cores: set[int]) -> None:
        self._process = subprocess.Popen(
            [*_pinned(cores), *command, str(HERE / "load.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, **command: object) -> dict[str, Any]:
        """The answer to one command; ``load.py`` lists them."""
        if self._process.stdin is None or self._process.stdout is None:
            raise SystemExit("the load generator has no pipes")
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("the load generator ended; is mlcommons-loadgen installed?")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        """The process has ended."""
        self._process.kill()
        self._process.communicate()


def _pinned(cores: set[int]) -> list[str]:
    return ["taskset", "--cpu-list", ",".join(map(str, sorted(cores)))]


@contextlib.contextmanager
def serving(name: str, command: Sequence[str], cores: set[int]) -> Iterator[Arm]:
    """A server that answers, on a free port."""
    port = _free_port()
    process = subprocess.Popen(
        [*_pinned(cores), *command, "--port", str(port)], stdout=subprocess.DEVNULL
    )
    try:
        _until_up(process, port)
        yield Arm(name, port, process)
    finally:
        process.terminate()
        process.wait(_PATIENCE_S)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
        return port


def _until_up(process: subprocess.Popen[bytes], port: int) -> None:
    end = time.monotonic() + _PATIENCE_S
    while time.monotonic() < end and process.poll() is None:
        if _answers(port):
            return
        time.sleep(0.05)
    raise SystemExit("a server did not come up")


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE_S)
    kind = {"Content-Type": "application/json"}
    try:
        connection.request("POST", "/predict", json.dumps({"text": "well"}), kind)
        return connection.getresponse().status == http.client.OK
    except OSError:
        return False
    finally:
        connection.close()


def commands(bundle: Path) -> dict[str, list[str]]:
    """How each arm is started."""
    serve = [sys.executable, "-m", "edgepipe", "serve", str(bundle)]
    return {
        "control": [sys.executable, str(HERE / "control.py"), str(bundle)],
        "1 worker": [*serve, "--workers", "1"],
        "2 workers": [*serve, "--workers", "2"],
    }
