from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgepipe.bundle import layout
from edgepipe.bundle.manifest import Accuracy
from tests.bundle.variants import runnable
from tests.cli.conftest import Run
from tests.runtime.tiny_onnx import Tiny

GOLDEN = ("good film", "bad\u2028plot", "very good")


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    models = {name: runnable(tmp_path / name, Tiny(), name, GOLDEN) for name in ("int8", "fp32")}
    measured = Accuracy(accuracy=0.9, low=0.8, high=0.95, examples=100, agreement=0.99)
    place = tmp_path / "bundle"
    layout.assemble(models, {"int8": measured}, place, name="tiny", data="")
    return place


def test_every_variant_stands_beside_the_last_one(edgepipe: Run, bundle: Path) -> None:
    done = edgepipe("benchmark", bundle, "--seconds", "1", "--json")
    assert done.code == 0
    rows = {row["name"]: row for row in json.loads(done.out)}
    assert list(rows) == ["fp32", "fp32 (plain session)", "int8", "int8 (plain session)"]
    assert rows["fp32"]["speedup"] == rows["fp32"]["throughput"] == 1
    assert rows["fp32"]["accuracy"] is None
    assert rows["int8"]["accuracy"] == rows["int8 (plain session)"]["accuracy"] == 0.9
    files = {f.name: f.stat().st_size for f in bundle.rglob("*") if f.is_file()}
    shared = sum(files.values()) - files["edgepipe.json"]
    assert rows["int8"]["bytes"] == shared - files["model.onnx"]
    for row in rows.values():
        assert 0 < row["p50_ms"] <= row["p90_ms"]
        assert row["p99_ms"] is None or row["p90_ms"] <= row["p99_ms"]
        assert row["throughput"] > 0
        assert 0 < row["floor_share"] < 1
        assert row["low"] <= row["speedup"] <= row["high"]


@pytest.mark.parametrize(
    ("damage", "code", "told"),
    [
        (lambda b: (b / "golden.jsonl").unlink(), 2, "has no golden.jsonl to take texts from; giv"),
        (lambda b: (b / "golden.jsonl").write_text("{"), 2, "golden.jsonl: cannot be read"),
        (lambda b: (b / "golden.jsonl").write_text("[1]"), 2, "golden.jsonl: cannot be read"),
        (lambda b: (b / "golden.jsonl").write_text("\n"), 2, "golden.jsonl holds no texts"),
        (lambda b: (b / "edgepipe.json").unlink(), 3, "not a bundle: no readable edgepipe.json"),
    ],
)
def test_what_cannot_be_timed(edgepipe: Run, bundle: Path, damage, code: int, told: str) -> None:
    damage(bundle)
    done = edgepipe("benchmark", bundle)
    assert (done.code, done.out) == (code, "")
    assert told in done.err


def test_a_hostile_name_gives_the_terminal_no_orders(edgepipe: Run, bundle: Path) -> None:
    path = bundle / "edgepipe.json"
    written = json.loads(path.read_text())
    written["variants"][0]["name"] = "i8\x1b[31m\u202e"
    path.write_text(json.dumps(written))
    done = edgepipe("benchmark", bundle, "--seconds", "1")
    assert done.code == 0
    assert (done.out + done.err).replace("\n", "").isprintable()
    assert r"i8\x1b[31m\u202e" in done.out


def test_a_file_of_texts_that_is_not_there(edgepipe: Run, bundle: Path) -> None:
    done = edgepipe("benchmark", bundle, "--file", "absent.txt")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("error: absent.txt: cannot be read")
