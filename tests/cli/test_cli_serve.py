from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.cli.conftest import Run
from tests.runtime.tiny_onnx import Tiny, write_bundle

PATIENCE = 60
TINY = Tiny()


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "bundle", TINY)


@contextlib.contextmanager
def running(*args: str | Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """``edgepipe serve ARGS`` on a free port, and the line it prints when it is ready."""
    command = [sys.executable, "-m", "edgepipe", "serve", *map(str, args), "--port", "0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout
            yield process, process.stdout.readline()
        finally:
            process.kill()


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """The exit code and what else was printed."""
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=PATIENCE)
    return process.returncode, out, err


def test_a_line_with_the_address_once_it_is_ready(bundle: Path) -> None:
    with running(bundle, "--workers", "2", "--fast") as (process, line):
        assert line.startswith("tiny (fp32) at http://127.0.0.1:")
        address = line.split()[-1]
        assert httpx.get(f"{address}/ready").json() == {"ready": True, "model": "tiny", "labels": 3}
        found = httpx.post(f"{address}/predict", json={"text": "good film"}).json()
        assert found[0]["label"] == TINY.labels[int(TINY.logits("good film").argmax())]
        assert "<textarea" in httpx.get(address).text
        assert "server" not in httpx.get(address).headers
        assert ended(process) == (0, "", "")


def test_the_limits_are_those_of_the_call(bundle: Path) -> None:
    limits = ("--max-body", 100, "--max-texts", 2, "--max-characters", 10)
    with running(bundle, *map(str, limits)) as (process, line):
        address = line.split()[-1]
        for body, error in (
            ({"text": "a" * 200}, "the body has more than 100 bytes"),
            ({"texts": ["a"] * 3}, "more than 2 texts in one request"),
            ({"text": "a" * 11}, "text 0 has more than 10 characters"),
        ):
            found = httpx.post(f"{address}/predict", json=body)
            assert (found.status_code, found.json()) == (413, {"error": error})
        assert ended(process)[0] == 0


def test_whoever_opens_it_to_others_is_told(bundle: Path) -> None:
    with running(bundle, "--host", "0.0.0.0") as (process, line):  # noqa: S104 - what is tested
        assert line.startswith("tiny (fp32) at http://0.0.0.0:")
        code, _, err = ended(process)
        assert code == 0
        assert "there is no password" in err


def test_a_changed_bundle_is_refused(edgepipe: Run, bundle: Path) -> None:
    file = bundle / "onnx" / "model.onnx"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    done = edgepipe("serve", bundle, "--port", "0")
    assert (done.code, done.out) == (3, "")
    assert "model.onnx" in done.err


def test_no_bundle_is_a_wrong_call(edgepipe: Run, tmp_path: Path) -> None:
    done = edgepipe("serve", tmp_path / "none", "--port", "0")
    assert (done.code, done.out) == (2, "")
    assert "there is no bundle" in done.err


def test_a_port_in_use_is_one_error(edgepipe: Run, bundle: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = edgepipe("serve", bundle, "--port", str(port))
    assert (done.code, done.out) == (3, "")
    assert len(done.err.splitlines()) == 1
    assert f"cannot listen on 127.0.0.1 port {port}: address already in use" in done.err


@pytest.mark.parametrize(
    "option",
    [("--port", "65536"), ("--workers", "0"), ("--timeout", "0"), ("--timeout", "nan"),
     ("--delay-ms", "-1"), ("--delay-ms", "nan"), ("--queue", "0"),
     ("--max-body", "none"), ("--host", "no.such.invalid")],
)  # fmt: skip
def test_an_option_that_does_not_fit_is_a_wrong_call(
    edgepipe: Run, bundle: Path, option: tuple[str, str]
) -> None:
    done = edgepipe("serve", bundle, "--port", "0", *option)
    assert (done.code, done.out) == (2, "")
    assert option[0] in done.err


@pytest.mark.parametrize("package", ["starlette", "uvicorn", "prometheus_client"])
def test_without_the_extra_the_pip_line_is_told(bundle: Path, package: str) -> None:
    code = (
        "import json, sys; args = json.loads(sys.argv[1]); sys.modules[args.pop()] = None\n"
        "from edgepipe import cli; sys.exit(cli.call(args))"
    )
    args = json.dumps(["serve", str(bundle), "--port", "0", package])
    done = subprocess.run(
        [sys.executable, "-c", code, args],
        check=False,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert (done.returncode, done.stdout) == (3, "")
    assert f"needs {package}, which is not installed: pip install 'edgepipe[serve]'" in done.stderr
