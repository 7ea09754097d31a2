"""What transformers.js has to answer to the golden texts of a bundle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer

from edgepipe.runtime import load
from edgepipe.runtime.manifest import read
from edgepipe.runtime.tokenize import Row

VARIANTS = {"fp32": "fp32", "q8": "int8"}
"""By transformers.js's dtype."""
PROGRAMS = Path(__file__).parents[1] / "node"
MODULES = PROGRAMS / "node_modules"
INSTALLED = (MODULES / "@huggingface" / "transformers" / "package.json").exists()
needs_modules = pytest.mark.skipif(not INSTALLED, reason="run `npm ci` in tests/node first")


def golden(bundle: Path) -> list[dict[str, Any]]:
    lines = (bundle / "golden.jsonl").read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in lines if line]


def check(bundle: Path, variant: str, found: list[dict[str, Any]], tolerance: float) -> None:
    """Token ids are the golden ones, and logits those of the runtime within ``tolerance``.

    Labels are the runtime's too, unless its own two best lie within reach of the tolerance; label
    and score follow from the logits as they do in the runtime.

    transformers.js 4.3 truncates by cutting the row, and the final special token with it: for such
    a text the runtime is asked with the ids that transformers.js made.
    """
    lines = golden(bundle)
    expected = [_ids(bundle, line) for line in lines]
    assert [one["ids"] for one in found] == expected
    own = np.array([one["logits"] for one in found], np.float32)
    with load(bundle, variant=variant, threads=1) as classifier:
        rows = [Row(ids, [0] * len(ids)) for ids in expected]
        logits = classifier.infer(rows, exact=True)
        answers = classifier.best(own)
    assert own == pytest.approx(logits, abs=tolerance)
    best = np.sort(logits)
    clear = best[:, -1] - best[:, -2] > 2 * tolerance
    assert clear.any()
    assert (own.argmax(1) == logits.argmax(1))[clear].all()
    for one, answer in zip(found, answers, strict=True):
        assert one["label"] == answer["label"]
        assert one["score"] == pytest.approx(answer["score"], abs=2e-5)


def _ids(bundle: Path, line: dict[str, Any]) -> list[int]:
    tokenizer = Tokenizer.from_file(str(bundle / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    whole: list[int] = tokenizer.encode(line["text"]).ids
    longest = read(bundle).max_length
    assert line["ids"] == whole if len(whole) <= longest else len(line["ids"]) == longest
    return whole[:longest]
