"""A bundle in a browser, by transformers.js and onnxruntime-web, answers as the runtime does.

Headless Chromium loads ``tests/node/page.html`` from a server on loopback and can reach nothing
else; the page posts its answers back.
"""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import queue
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from edgepipe.runtime.manifest import read
from tests.contracts.javascript import MODULES, PROGRAMS, VARIANTS, check, golden, needs_modules
from tests.contracts.tiny_bundles import TinyModel, build

CHROMIUM = os.environ.get("EDGEPIPE_CHROMIUM") or next(
    filter(None, map(shutil.which, ("chromium", "google-chrome"))), None
)
PATIENCE = 240
"""Seconds for a browser to start, compile 14 MB of WebAssembly and answer, on busy cores."""
ATTEMPTS = 2
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic",
    "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--disable-extensions", "--no-proxy-server",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)  # fmt: skip
TYPES = {
    ".html": "text/html", ".js": "text/javascript", ".mjs": "text/javascript",
    ".json": "application/json", ".wasm": "application/wasm",
}  # fmt: skip
pytestmark = [needs_modules, pytest.mark.skipif(not CHROMIUM, reason="chromium is not installed")]


class Server(http.server.ThreadingHTTPServer):
    """Serves the page, the libraries and one bundle; keeps what the page posts."""

    daemon_threads = True

    def __init__(self, bundle: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.bundle = bundle
        self.results: queue.Queue[dict[str, Any]] = queue.Queue()
        self.asked: list[str] = []

    def file(self, path: str) -> Path | None:
        library = MODULES / "@huggingface" / "transformers" / "dist" / "transformers.min.js"
        places = {
            "/": PROGRAMS / "page.html",
            "/answers.mjs": PROGRAMS / "answers.mjs",
            "/transformers.js": library,
        }
        for prefix, folder in (
            ("/models/bundle/", self.bundle),
            ("/ort/", MODULES / "onnxruntime-web" / "dist"),
        ):
            if path.startswith(prefix):
                places[path] = folder / path.removeprefix(prefix)
        found = places.get(path)
        return found if found is not None and found.is_file() else None


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.server.asked.append(path)
        if path == "/texts.json":
            texts = [line["text"] for line in golden(self.server.bundle)]
            self.answer(200, json.dumps(texts).encode(), ".json")
        elif file := self.server.file(path):
            self.answer(200, file.read_bytes(), file.suffix)
        else:
            self.answer(404, b"", ".html")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(200, b"", ".html")
        self.server.results.put(json.loads(body))

    def answer(self, status: int, body: bytes, suffix: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", TYPES.get(suffix, "application/octet-stream"))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Quiet."""


def in_chromium(url: str, home: Path, results: queue.Queue[dict[str, Any]]) -> dict[str, Any]:
    """What the page posted; its own process group ends with it."""
    home.mkdir()
    log = home / "log.txt"
    with log.open("wb") as said:
        browser = subprocess.Popen(
            [str(CHROMIUM), *FLAGS, f"--user-data-dir={home / 'profile'}", url],
            env={**os.environ, "HOME": str(home)},
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            start_new_session=True,
        )
        try:
            return _posted(browser, results)
        except queue.Empty:
            return {"error": f"no answer; chromium said: {log.read_text()[-2000:]}"}
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(browser.pid, signal.SIGKILL)
            browser.wait()


def _posted(
    browser: subprocess.Popen[bytes], results: queue.Queue[dict[str, Any]]
) -> dict[str, Any]:
    """What comes first within ``PATIENCE``; queue.Empty if nothing does, or the browser ends."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and browser.poll() is None:
        with contextlib.suppress(queue.Empty):
            return results.get(timeout=0.5)
    return results.get_nowait()


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> TinyModel:
    torch.set_num_threads(1)
    return build(tmp_path_factory.mktemp("browser"), "bert")


@pytest.fixture(scope="module")
def found(tiny: TinyModel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """A browser that does not start, or hangs, gets a second chance; wrong answers get none."""
    homes = tmp_path_factory.mktemp("chromium")
    with Server(tiny.bundle) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}/"
        for attempt in range(ATTEMPTS):
            result = in_chromium(url, homes / str(attempt), server.results)
            if "error" not in result:
                break
        server.shutdown()
        assert "error" not in result, result["error"]
        assert any(path.endswith(".wasm") for path in server.asked)
        yield result


@pytest.mark.slow
@pytest.mark.parametrize("dtype", VARIANTS)
def test_browser_and_python_agree_on_every_golden_text(
    tiny: TinyModel, found: dict[str, Any], dtype: str
) -> None:
    """int8 products are added up in another order and, without VNNI, saturate elsewhere."""
    name = VARIANTS[dtype]
    (variant,) = (v for v in read(tiny.bundle).variants if v.name == name)
    assert variant.tolerance is not None
    check(tiny.bundle, name, found[dtype], tolerance=2e-5 if dtype == "fp32" else variant.tolerance)
