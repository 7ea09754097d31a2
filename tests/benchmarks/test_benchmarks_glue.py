"""The script works, writes its table, and its exit code is that of what it found."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.runtime.tiny_onnx import Tiny, write_bundle

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "runtime" / "glue.py"
VERDICTS = {0: "within the limit", 4: "over the limit", 5: "cannot tell"}


def test_glue(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "bundle", Tiny())
    given = ("--texts", "5", "--blocks", "2", "--rounds", "2", "--out", str(tmp_path))
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--bundle", str(bundle), *given],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode in VERDICTS, done.stderr
    assert (tmp_path / "runtime-glue.md").read_text().count("|") > 20
    figures = json.loads((tmp_path / "runtime-glue.json").read_text())["figures"]
    assert VERDICTS[done.returncode] in figures["verdict"]
    found = figures["ratios"]["by_hand"]
    expected = 4 if found["low"] > 1.03 else 5 if found["high"] > 1.03 else 0
    assert done.returncode == expected
    assert all(value > 0 for value in figures["steps_us"]["runtime"])
