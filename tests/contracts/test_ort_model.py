"""optimum's ORTModel loads a bundle unchanged and answers as the runtime does.

optimum-onnx needs an older transformers than edgepipe, so it runs in an environment of its own:
``EDGEPIPE_OPTIMUM_PYTHON`` is that environment's python, made by
``python -m venv E && E/bin/pip install torch optimum-onnx[onnxruntime]``.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from edgepipe import disk
from edgepipe.runtime import load
from tests.contracts.javascript import golden
from tests.contracts.tiny_bundles import TinyModel, build

PYTHON = os.environ.get("EDGEPIPE_OPTIMUM_PYTHON")
PROGRAM = Path(__file__).with_name("optimum_answers.py")
FILES = {"fp32": "model.onnx", "int8": "model_quantized.onnx"}
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PYTHON, reason="set EDGEPIPE_OPTIMUM_PYTHON to a python with optimum"),
]


@pytest.fixture(scope="module", params=["bert", "roberta", "scratch"])
def tiny(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> TinyModel:
    torch.set_num_threads(1)
    return build(tmp_path_factory.mktemp("optimum"), request.param)


def in_optimum(bundle: Path, file: str) -> list[dict[str, Any]]:
    done = subprocess.run(
        [str(PYTHON), str(PROGRAM), str(bundle), file],
        env={**os.environ, "HF_HUB_OFFLINE": "1", "ORT_DISABLE_TELEMETRY": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("variant", FILES)
def test_optimum_and_the_runtime_agree_on_every_golden_text(tiny: TinyModel, variant: str) -> None:
    before = disk.digest(tiny.bundle)
    found = in_optimum(tiny.bundle, FILES[variant])
    assert disk.digest(tiny.bundle) == before
    lines = golden(tiny.bundle)
    assert [one["ids"] for one in found] == [line["ids"] for line in lines]
    with load(tiny.bundle, variant=variant, threads=1) as classifier:
        logits = classifier.logits([line["text"] for line in lines], exact=True)
        labels = [answer["label"] for answer in classifier.best(logits)]
    assert np.array([one["logits"] for one in found]) == pytest.approx(logits, abs=2e-5)
    assert [one["label"] for one in found] == labels
