from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgepipe.errors import BundleError
from edgepipe.runtime import load
from edgepipe.runtime.golden import replay
from tests.runtime.tiny_onnx import Tiny, records, token_ids, variant, write_bundle

MODEL = "onnx/model.onnx"
TEXTS = ["the film is good", "bad", "", "line\u2028separator", "very " * 30]


def lines(tiny: Tiny) -> list[dict[str, Any]]:
    return [{"text": t, "ids": token_ids(t), "logits": tiny.logits(t).tolist()} for t in TEXTS]


def checked(
    folder: Path, tiny: Tiny, golden: list[dict[str, Any]] | str | None, **changes: Any
) -> Path:
    """A bundle with ``golden``, which its manifest lists; ``changes`` are of its one variant."""
    only = variant("only", MODEL, tiny, **{"tolerance": 1e-4, **changes})
    write_bundle(folder, tiny, [only])
    if golden is not None:
        text = golden if isinstance(golden, str) else "\n".join(map(json.dumps, golden)) + "\n"
        (folder / "golden.jsonl").write_text(text, encoding="utf-8")
    manifest = json.loads((folder / "edgepipe.json").read_text())
    manifest["files"] = records(folder)
    (folder / "edgepipe.json").write_text(json.dumps(manifest))
    return folder


def test_what_agrees_is_loaded(tmp_path: Path, tiny: Tiny) -> None:
    folder = checked(tmp_path / "b", tiny, lines(tiny))
    with load(folder, check=True) as classifier:
        assert 0 <= replay(classifier, folder) < 1e-5


def test_the_largest_difference_is_told(tmp_path: Path, tiny: Tiny) -> None:
    golden = lines(tiny)
    golden[1]["logits"][2] += 0.25
    golden[3]["logits"][0] -= 0.5
    folder = checked(tmp_path / "b", tiny, golden, tolerance=0.6)
    with load(folder, check=True) as classifier:
        assert replay(classifier, folder) == pytest.approx(0.5, abs=1e-4)


def test_every_text_runs_alone(tmp_path: Path) -> None:
    """The answers of this model depend on batch mates."""
    tiny = Tiny(mates=True)
    folder = checked(tmp_path / "b", tiny, lines(tiny), batch_invariant=False)
    assert load(folder, check=True)


def off(golden: list[dict[str, Any]]) -> None:
    golden[2]["logits"][0] += 0.01


def not_a_number(golden: list[dict[str, Any]]) -> None:
    golden[2]["logits"][0] = float("nan")


def other_ids(golden: list[dict[str, Any]]) -> None:
    golden[1]["ids"][1] += 1


def too_few(golden: list[dict[str, Any]]) -> None:
    golden[1]["logits"].pop()


def without_ids(golden: list[dict[str, Any]]) -> None:
    del golden[0]["ids"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (off, r"'only' is off by 0\.01 here, and its tolerance is 0\.0001"),
        (not_a_number, r"'only' is off by nan here"),
        (other_ids, r"golden.jsonl:2: the tokenizer gives other token ids"),
        (too_few, r"golden.jsonl is damaged: .*not 3 logits each"),
        (without_ids, r"golden.jsonl is damaged: ids is missing"),
    ],
)
def test_what_differs_is_refused(
    tmp_path: Path, tiny: Tiny, change: Callable[[list[dict[str, Any]]], None], message: str
) -> None:
    golden = lines(tiny)
    change(golden)
    folder = checked(tmp_path / "b", tiny, golden)
    with pytest.raises(BundleError, match=message):
        load(folder, check=True)
    assert load(folder)("good")  # not checked


def test_a_model_whose_answers_are_no_numbers(tmp_path: Path) -> None:
    """Found by the line that is not the first, too."""
    tiny = Tiny()
    tiny.words[5] = np.nan  # the word "bad"
    folder = checked(tmp_path / "b", tiny, lines(Tiny()))
    with pytest.raises(BundleError, match="off by nan"):
        load(folder, check=True)


@pytest.mark.parametrize("golden", ["", "\n", "{", '{"text": 1}\n', "[1]\n"])
def test_a_file_that_says_nothing(tmp_path: Path, tiny: Tiny, golden: str) -> None:
    folder = checked(tmp_path / "b", tiny, golden)
    with pytest.raises(BundleError, match=r"golden.jsonl is damaged"):
        load(folder, check=True)


def test_without_the_file(tmp_path: Path, tiny: Tiny) -> None:
    folder = checked(tmp_path / "b", tiny, None)
    with pytest.raises(BundleError, match=r"has no golden.jsonl to check itself against"):
        load(folder, check=True)


def test_without_a_tolerance(tmp_path: Path, tiny: Tiny) -> None:
    folder = checked(tmp_path / "b", tiny, lines(tiny), tolerance=None)
    with pytest.raises(BundleError, match="'only' has no tolerance"):
        load(folder, check=True)


def test_checking_looks_at_every_file(tmp_path: Path, tiny: Tiny) -> None:
    folder = checked(tmp_path / "b", tiny, lines(tiny))
    (folder / "extra").write_bytes(b"x")
    with pytest.raises(BundleError, match="extra"):
        load(folder, check=True)
    assert load(folder)("good")
