"""A bundle in transformers.js answers as the runtime does."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from edgepipe.runtime import load
from tests.contracts.tiny_bundles import MAX_LENGTH, TinyModel, build
from tests.contracts.tiny_bundles import TEXTS as ALL_TEXTS

NODE = shutil.which("node")
PROGRAM = Path(__file__).parents[1] / "node"
INSTALLED = PROGRAM / "node_modules" / "@huggingface" / "transformers" / "package.json"
TEXTS = [text for text in ALL_TEXTS if len(text.split()) < MAX_LENGTH]
"""transformers.js 4.3 truncates by cutting the row, and the final [SEP] with it."""
TOLERANCE = 2e-5
pytestmark = [
    pytest.mark.skipif(not NODE, reason="node is not installed"),
    pytest.mark.skipif(not INSTALLED.exists(), reason="run `npm ci` in tests/node first"),
]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> TinyModel:
    torch.set_num_threads(1)
    return build(tmp_path_factory.mktemp("node"), "bert")


def in_node(bundle: Path, dtype: str) -> dict[str, Any]:
    done = subprocess.run(
        [str(NODE), str(PROGRAM / "classify.mjs"), str(bundle), dtype],
        input=json.dumps(TEXTS),
        env={**os.environ, "ORT_DISABLE_TELEMETRY": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(("dtype", "variant"), [("fp32", "fp32"), ("q8", "int8")])
def test_javascript_and_python_agree(tiny: TinyModel, dtype: str, variant: str) -> None:
    found = in_node(tiny.bundle, dtype)
    with load(tiny.bundle, variant=variant, threads=1) as classifier:
        expected = classifier.logits(TEXTS, exact=True)
        answers = [classifier(text)[0] for text in TEXTS]
    assert np.array(found["logits"]) == pytest.approx(expected, abs=TOLERANCE)
    assert [one["label"] for one in found["answers"]] == [one["label"] for one in answers]
    assert [one["score"] for one in found["answers"]] == pytest.approx(
        [one["score"] for one in answers], abs=TOLERANCE
    )
