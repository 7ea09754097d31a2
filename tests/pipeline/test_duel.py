from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgepipe.bundle import layout
from edgepipe.errors import BundleError, StageError, UsageError
from edgepipe.measure import roofline
from edgepipe.measure.records import CountsReport, Roofline
from edgepipe.measure.rounds import Budget
from edgepipe.pipeline import duel as module
from edgepipe.pipeline.duel import duel, golden_texts
from edgepipe.pipeline.gate import LatencyGate
from edgepipe.pipeline.judge import judge
from edgepipe.pipeline.report import RunReport
from edgepipe.stage import Asked
from tests.bundle.variants import runnable
from tests.runtime.tiny_onnx import Tiny

GOLDEN = ("good film", "bad plot", "very good")
PEAKS = Roofline(fp32_flops_per_s=1e9, int8_ops_per_s=4e9, bytes_per_s=1e6)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GATE", Budget(rounds=2, round_seconds=0, round_blocks=2))
    monkeypatch.setattr(roofline, "measure", lambda *, threads: PEAKS)


def bundle(place: Path, tiny: Tiny, *precisions: str) -> Path:
    models = {
        name: runnable(place.parent / f"{place.name}-{name}", tiny, name, GOLDEN)
        for name in precisions or ("int8", "fp32")
    }
    layout.assemble(models, {}, place, name="tiny", data="")
    return place


@pytest.fixture
def old(tmp_path: Path) -> Path:
    return bundle(tmp_path / "v1", Tiny())


def test_two_bundles_beside_each_other(old: Path, tmp_path: Path, quick: None) -> None:
    new = bundle(tmp_path / "v2", Tiny(seed=1), "fp32")
    seen: list[str] = []
    found = duel(old, new, seconds=0, progress=lambda *step: seen.append(step[2]))
    assert found.name == "v1 against v2"
    assert (found.task, found.pipeline, found.steps) == ("text-classification", "", ())
    assert (found.gates, found.verdicts, found.verdict) == ((), (), "no gates")
    speed, counts = found.measured["speed"], found.measured["counts"]
    assert (speed.reference.name, [arm.name for arm in speed.candidates]) == ("old", ["new"])
    assert [s.candidate for s in (*speed.speedups, *speed.throughputs)] == ["new", "new"]
    assert (speed.texts, speed.batch, speed.roofline) == (3, 64, PEAKS)
    assert [arm.name for arm in counts.models] == ["old", "new"]
    assert [arm.precision for arm in counts.models] == ["int8", "fp32"]  # what auto takes
    assert counts.tokens == 16  # the bundles take no more
    sizes = {file.name: file.stat().st_size for file in old.rglob("*") if file.is_file()}
    int8 = next(v for v in json.loads((old / "edgepipe.json").read_text())["variants"])
    file = int8["graphs"]["model"]["file"]
    assert counts.arm("old").files[file] == (old / file).stat().st_size
    assert counts.arm("old").bytes < sum(sizes.values())  # without fp32, which nobody runs
    assert speed.reference.bytes == counts.arm("old").bytes
    assert speed.reference.digest == counts.arm("old").digest != counts.arm("new").digest
    assert seen[0] == "counting old on a text of 16 tokens"
    assert RunReport.model_validate_json(found.model_dump_json(by_alias=True)) == found


def test_a_duel_can_be_judged(old: Path, quick: None) -> None:
    found = duel(old, old, seconds=0, asked=(Asked("new", 0.001, 0.95),))
    gate = LatencyGate(measure="latency", of="new", against="old", min_speedup=1e-9)
    (verdict,) = judge([gate], found.measured)
    assert verdict.outcome in ("pass", "inconclusive")  # or two rounds were no match for the noise
    assert (verdict.of, verdict.against) == ("new", "old")


def test_texts_are_the_ones_given_or_the_golden_ones(old: Path, quick: None) -> None:
    assert golden_texts(old) == list(GOLDEN)
    golden = duel(old, old, seconds=0).measured["speed"]
    given = duel(old, old, texts=["the plot"] * 300, seconds=0).measured["speed"]
    assert (golden.texts, given.texts) == (3, 200)
    assert golden.texts_sha256 != given.texts_sha256


def test_other_labels_are_another_question(old: Path, tmp_path: Path) -> None:
    new = bundle(tmp_path / "v2", Tiny(labels=("yes", "no", "maybe")))
    with pytest.raises(UsageError, match=r"v1 and .*v2 cannot be compared: their labels differ"):
        duel(old, new)


def test_another_task_is_another_question(old: Path, tmp_path: Path) -> None:
    new = bundle(tmp_path / "v2", Tiny())
    path = new / "edgepipe.json"
    path.write_text(path.read_text().replace("text-classification", "token-classification"))
    with pytest.raises(UsageError, match="their task differ"):
        duel(old, new)


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda path: path.unlink(), "has no golden.jsonl to take texts from"),
        (lambda path: path.write_text("{"), "cannot be read"),
        (lambda path: path.write_text("[1]"), "cannot be read"),
        (lambda path: path.write_text('{"text": 1}'), "holds no texts"),
        (lambda path: path.write_text("\n"), "holds no texts"),
    ],
    ids=["absent", "cut", "list", "number", "empty"],
)
def test_golden_texts_that_are_none(old: Path, damage, told: str) -> None:
    damage(old / "golden.jsonl")
    with pytest.raises(UsageError, match=told):
        duel(old, old)


def test_no_texts_are_refused(old: Path) -> None:
    with pytest.raises(UsageError, match="no texts to time"):
        duel(old, old, texts=[])


def test_what_is_no_bundle_is_refused(old: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no bundle at"):
        duel(old, tmp_path / "absent")
    (tmp_path / "folder").mkdir()
    with pytest.raises(BundleError, match="not a bundle"):
        duel(old, tmp_path / "folder")


def test_a_limit_on_anything_but_the_new_one_is_refused(old: Path, quick: None) -> None:
    with pytest.raises(StageError, match="'int8', which is not timed"):
        duel(old, old, asked=(Asked("int8", 1.0, 0.95),))


def test_what_is_not_worth_it_is_not_timed(old: Path, quick: None) -> None:
    seen: list[CountsReport] = []
    found = duel(old, old, worth_timing=lambda counts: bool(seen.append(counts)))
    assert set(found.measured) == {"counts"}
    assert seen == [found.measured["counts"]]
