from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import edgepipe.runtime

HEAVY = {
    "torch",
    "transformers",
    "onnx",
    "onnx_ir",
    "click",
    "pydantic",
    "rich",
    "scipy",
    "sklearn",
}


def loaded_after(code: str) -> set[str]:
    """Top-level modules that a fresh interpreter holds after ``code``."""
    script = f"import sys\n{code}\nprint(*sorted(name.split('.')[0] for name in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stderr == ""
    return set(done.stdout.split())


def test_importing_brings_nothing_heavy() -> None:
    loaded = loaded_after("import edgepipe.runtime")
    assert {"edgepipe", "numpy", "tokenizers"} <= loaded
    assert not loaded & (HEAVY | {"onnxruntime"})


def test_answering_brings_nothing_heavy_but_onnxruntime(bundle: Path) -> None:
    loaded = loaded_after(f"import edgepipe.runtime as r\nr.load({str(bundle)!r})('good')")
    assert "onnxruntime" in loaded
    assert not loaded & HEAVY


TELEMETRY = """
import os
threads = len(os.listdir("/proc/self/task"))
import edgepipe.runtime as r
r.load({bundle!r}, threads=1)("good")
print(len(os.listdir("/proc/self/task")) - threads)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts threads in /proc")
def test_onnxruntime_does_not_report_to_its_maker(bundle: Path) -> None:
    """Its uploader is a thread of its own."""
    kept = {k: v for k, v in os.environ.items() if k != "ORT_DISABLE_TELEMETRY"}
    done = subprocess.run(
        [sys.executable, "-c", "import numpy" + TELEMETRY.format(bundle=str(bundle))],
        env=kept,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.strip() == "0"


@pytest.mark.parametrize(
    ("setting", "expected"), [({}, "1"), ({"ORT_DISABLE_TELEMETRY": "0"}, "0")]
)
def test_whoever_wants_that_report_may_ask_for_it(setting: dict[str, str], expected: str) -> None:
    kept = {k: v for k, v in os.environ.items() if k != "ORT_DISABLE_TELEMETRY"}
    code = "import os, edgepipe; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        env={**kept, **setting},
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == expected


def test_every_public_name_is_documented() -> None:
    for name in edgepipe.runtime.__all__:
        assert getattr(edgepipe.runtime, name).__doc__, name
