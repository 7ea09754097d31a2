from __future__ import annotations

import importlib.metadata
import json
import shutil
from collections.abc import Callable

import pytest

from tests.cli.conftest import Run

Fake = Callable[..., None]


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Fake:
    """Pretend that exactly some of the packages that doctor asks for are installed."""

    def pretend(**versions: str) -> None:
        def version(name: str) -> str:
            found = versions.get(name.replace("-", "_"))
            if found is None:
                raise importlib.metadata.PackageNotFoundError(name)
            return found

        monkeypatch.setattr(importlib.metadata, "version", version)

    return pretend


def findings(edgepipe: Run) -> tuple[int, dict[str, dict[str, str]]]:
    done = edgepipe("doctor", "--json")
    return done.code, {found["what"]: found for found in json.loads(done.out)}


RUNTIME = {"numpy": "2.4", "tokenizers": "0.23"}


def test_both_wheels_at_once_are_a_problem_with_a_remedy(edgepipe: Run, installed: Fake) -> None:
    installed(onnxruntime="1.31.1", onnxruntime_gpu="1.31.0", **RUNTIME)
    code, found = findings(edgepipe)
    assert code == 3
    both = found["onnxruntime and onnxruntime-gpu"]
    assert (both["level"], both["found"]) == ("problem", "1.31.1 and 1.31.0")
    assert "pip uninstall -y onnxruntime onnxruntime-gpu" in both["remedy"]


@pytest.mark.parametrize("wheel", ["onnxruntime", "onnxruntime_gpu"])
def test_one_wheel_is_fine(edgepipe: Run, installed: Fake, wheel: str) -> None:
    installed(**{wheel: "1.31.1"}, **RUNTIME)
    code, found = findings(edgepipe)
    assert code == 0
    assert found[wheel.replace("_", "-")]["level"] == "ok"
    assert found["torch"]["level"] == "note"
    assert "edgepipe[build]" in found["torch"]["remedy"]


def test_no_wheel_and_no_tokenizers_are_problems(edgepipe: Run, installed: Fake) -> None:
    installed(numpy="2.4")
    code, found = findings(edgepipe)
    assert code == 3
    assert "edgepipe[cpu]" in found["onnxruntime"]["remedy"]
    assert found["tokenizers"]["level"] == "problem"


def test_here_every_finding_that_is_not_ok_has_its_remedy(edgepipe: Run) -> None:
    code, found = findings(edgepipe)
    assert code == 0
    assert {f["level"] for f in found.values()} <= {"ok", "note"}
    assert all(f["remedy"] for f in found.values() if f["level"] != "ok")
    assert {"Python", "numpy", "torch", "onnxruntime", "int8 on this CPU", "disk"} <= set(found)


def test_the_table_says_the_same(edgepipe: Run, installed: Fake) -> None:
    installed(onnxruntime="1.31.1", onnxruntime_gpu="1.31.0", **RUNTIME)
    done = edgepipe("doctor")
    assert done.code == 3
    assert "problem" in done.out
    assert "each breaks the other" in done.out
    assert done.err == ""


def test_a_full_disk_is_noted(edgepipe: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(".")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=10**9))
    _, found = findings(edgepipe)
    assert (found["disk"]["level"], found["disk"]["found"]) == (
        "note", "1.0 GB free at artifacts",
    )  # fmt: skip
