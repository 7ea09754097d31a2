"""Each tool's virtual environment: pinned, built once, rebuilt when its pins change."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers.lineup import MAIN
from benchmarks.peers.records import Environment
from edgepipe import disk

ROOT = Path(__file__).resolve().parents[2]
PINS = Path(__file__).parent / "environments"
_READY = "ready.json"
_TAIL = 400
_FOLDERS = re.compile(r"(?<![\w.…])/(?:[^\s/:'\"]+/)+")
_LOOK = """
import importlib.metadata, json, os, sysconfig
tools = ("pip", "setuptools", "pkg_resources", "_distutils_hack")
size = 0
for folder, folders, files in os.walk(site := sysconfig.get_path("purelib")):
    if folder == site:
        folders[:] = [name for name in folders if not name.startswith(tools)]
    size += sum(os.lstat(os.path.join(folder, name)).st_size for name in files)
found = {d.metadata["Name"]: d.version for d in importlib.metadata.distributions()}
print(json.dumps({"bytes": size, "packages": found}))
"""


@dataclass(frozen=True)
class Built:
    """An environment that can be asked."""

    python: Path
    record: Environment


def main_environment() -> Built:
    """The interpreter that runs this."""
    python = Path(sys.executable)
    return Built(python, Environment(name=MAIN, seconds=0.0, **_look(python)))


def build(name: str, below: Path) -> Built:
    """``below/NAME`` holds an environment with the pins of ``environments/NAME.txt``.

    One that an earlier run finished with the same pins is kept; anything else is built anew. What
    cannot be built leaves a record with the installer's last words in ``failed``, and is tried
    again by the next run.
    """
    pins = PINS / f"{name}.txt"
    folder = below / name
    python = folder / "bin" / "python"
    digest = hashlib.sha256(pins.read_bytes()).hexdigest()
    ready = _ready(folder, digest)
    if ready is None:
        shutil.rmtree(folder, ignore_errors=True)
        begin = time.monotonic()
        failed = _install(folder, python, pins)
        seconds = time.monotonic() - begin
        if failed:
            shutil.rmtree(folder, ignore_errors=True)
            lost = Environment(name=name, packages={}, bytes=0, seconds=seconds, failed=failed)
            return Built(python, lost)
        ready = Environment(name=name, seconds=seconds, **_look(python))
        disk.write_json(folder / _READY, {"pins": digest, "record": ready.model_dump(mode="json")})
    return Built(python, ready)


def nowhere(text: str) -> str:
    """``text`` without the folders of absolute paths: they say nothing on another machine."""
    return _FOLDERS.sub("…/", text)


def _ready(folder: Path, digest: str) -> Environment | None:
    """What an earlier run finished with these pins."""
    try:
        found = json.loads((folder / _READY).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if found.get("pins") != digest:
        return None
    return Environment.model_validate_json(json.dumps(found["record"]))


def _install(folder: Path, python: Path, pins: Path) -> str:
    """The last words of whichever installer failed; empty when none did."""
    quiet = ("--quiet", "--disable-pip-version-check", "--no-input")
    for words in (
        (sys.executable, "-m", "venv", str(folder)),
        (str(python), "-m", "pip", "install", *quiet, "--requirement", str(pins)),
    ):
        # pins of the runtime's environment name the repository itself, as "."
        done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode:
            said = (done.stderr.strip() or done.stdout.strip())[-_TAIL:]
            return nowhere(said) or "no word of why"
    return ""


def _look(python: Path) -> dict[str, object]:
    """Distributions and bytes of an environment."""
    env = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        (str(python), "-P", "-c", _LOOK), capture_output=True, text=True, check=True, env=env
    )
    found: dict[str, object] = json.loads(done.stdout)
    return found
