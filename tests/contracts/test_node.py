"""A bundle in transformers.js under Node.js answers as the runtime does."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.contracts.javascript import PROGRAMS, VARIANTS, check, golden, needs_modules
from tests.contracts.tiny_bundles import MAX_LENGTH, TinyModel, build

NODE = shutil.which("node")
pytestmark = [needs_modules, pytest.mark.skipif(not NODE, reason="node is not installed")]


@pytest.fixture(scope="module", params=["roberta", "scratch"])
def tiny(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> TinyModel:
    torch.set_num_threads(1)
    return build(tmp_path_factory.mktemp("node"), request.param)


def in_node(bundle: Path, dtype: str) -> list[dict[str, Any]]:
    done = subprocess.run(
        [str(NODE), str(PROGRAMS / "classify.mjs"), str(bundle), dtype],
        input=json.dumps([line["text"] for line in golden(bundle)]),
        env={**os.environ, "ORT_DISABLE_TELEMETRY": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("dtype", VARIANTS)
def test_javascript_and_python_agree_on_every_golden_text(tiny: TinyModel, dtype: str) -> None:
    check(tiny.bundle, VARIANTS[dtype], in_node(tiny.bundle, dtype), tolerance=2e-5)


def test_one_of_the_golden_texts_is_truncated(tiny: TinyModel) -> None:
    """Else the test above would not see how transformers.js does that."""
    lengths = [len(line["ids"]) for line in golden(tiny.bundle)]
    assert max(lengths) == MAX_LENGTH
    assert min(lengths) < MAX_LENGTH
