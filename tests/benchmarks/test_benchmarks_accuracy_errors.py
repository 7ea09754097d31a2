"""The script works, writes its tables, and its gates keep their promise roughly, from few draws."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gate" / "accuracy_errors.py"


def test_accuracy_errors(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--trials", "400", "--out", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "gate-accuracy-errors.md").read_text().count("\n| ") > 50
    figures = json.loads((tmp_path / "gate-accuracy-errors.json").read_text())["figures"]
    for row in figures["accuracy"]:
        assert abs(row["gate pass"] + row["gate fail"] + row["gate inconclusive"] - 1) < 1e-9
        if row["texts"] == 1000 and row["drop"] >= row["margin"]:
            assert row["gate pass"] < 0.1  # 5 % nominal, 1.1 % the spread of 400 draws
        if row["texts"] == 1000 and row["drop"] <= row["margin"]:
            assert row["gate fail"] < 0.1
    at_the_margin = [row for row in figures["accuracy"] if row["drop"] == row["margin"] == 0.01]
    assert all(row["subtraction pass"] > 0.4 for row in at_the_margin)
