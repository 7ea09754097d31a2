"""Pipeline files for tests, and what is wrong with them as (line, problem)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edgepipe.config import parse
from edgepipe.errors import ConfigError

WHOLE = """name = "reviews"
task = "text-classification"

[run]
seed = 3
device = "cpu"
threads = 2

[step.reviews]
use = "data"
train = "train.csv"

[step.teacher]
use = "train"
model = "base"
from = { data = "reviews" }

[step.fp32]
use = "export"
from = { checkpoint = "teacher", data = "reviews" }

[step.int8]
use = "quantize"
from = { model = "fp32" }

[step.accuracy]
use = "validate"
from = { reference = "teacher", candidates = ["fp32", "int8"], data = "reviews" }

[step.speed]
use = "benchmark"
from = { reference = "teacher", candidates = ["fp32", "int8"], data = "reviews" }

[step.bundle]
use = "package"
from = { variants = ["int8", "fp32"], validation = "accuracy" }

[[gate]]
measure = "accuracy"
of = "int8"
against = "teacher"
max_drop = 0.02

[[gate]]
measure = "latency"
of = "int8"
against = "teacher"
min_speedup = 2.0
"""


def folder(path: Path) -> Path:
    """What WHOLE names is there; the path of the pipeline file itself, which is not."""
    (path / "base").mkdir()
    (path / "train.csv").write_text("text,label\n")
    return path / "p.toml"


def changed(*changes: tuple[str, str]) -> str:
    """WHOLE, with each first text, which has to be in it once, replaced by the second."""
    text = WHOLE
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


def problems(text: str, file: Path) -> list[tuple[int, str]]:
    """What is wrong with ``text``, by line; fails when nothing is."""
    with pytest.raises(ConfigError) as caught:
        parse(text, file)
    found = [re.fullmatch(rf"{file}:(\d+): (.+)", line) for line in caught.value.problems]
    assert all(found), caught.value.problems
    return [(int(match[1]), match[2]) for match in found if match]


def only(text: str, file: Path, at: str) -> str:
    """The only problem of ``text``, which has to stand on the line of ``at``."""
    ((line, problem),) = problems(text, file)
    assert line == line_of(text, at)
    return problem


def line_of(text: str, part: str) -> int:
    """The line on which ``part``, which has to be in ``text`` once, begins."""
    assert text.count(part) == 1, part
    return text[: text.index(part)].count("\n") + 1
