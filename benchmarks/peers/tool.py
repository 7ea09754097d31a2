"""The side of the comparison that runs in a tool's own environment.

::

    python -P -m benchmarks.peers.tools.TOOL make HOW --checkpoint DIR --out DIR --texts FILE …
    python -P -m benchmarks.peers.tools.TOOL serve HOW --made DIR --threads N …
    python -P -m benchmarks.peers.tools.TOOL answer HOW --made DIR --threads N … < texts > labels

``make`` leaves what ships in ``--out`` and ends as a user's call of the tool would end: with the
exit code of its command line, or with the traceback of its library. ``serve`` is a benchmark worker
(``edgepipe.worker``). ``answer`` reads a JSON list of texts and writes a JSON list of label names.

With the repository's root on the path this needs nothing but Python's standard library, so every
environment can run it. A tool's file has two tables, ``MAKERS`` and ``LOADERS``, from a way's name
to a function, and ends with ``raise SystemExit(run(MAKERS, LOADERS))``. What those functions and
the classes they name hold is what a user of the tool writes, and is counted as such.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from edgepipe.worker import serve


@dataclass(frozen=True)
class Job:
    """What a model is made from."""

    checkpoint: Path
    """A folder that ``from_pretrained`` reads; what another way made where a recipe says so."""
    out: Path
    """An empty folder: what ships goes here, in whatever layout the tool's runtime reads."""
    texts: Path
    """Training texts, JSON Lines with ``text`` and ``label``, for calibration and distillation."""
    max_length: int
    """Tokens that a text is cut to."""


@dataclass(frozen=True)
class Setup:
    """What answers, and how."""

    made: Path
    """What ``make`` left; the checkpoint itself where nothing is made; or a bundle of edgepipe."""
    file: str
    """The ONNX file below ``made``, where the lineup says which; empty for the tool's own."""
    threads: int
    max_length: int


class Loaded(Protocol):
    """A tool ready to answer, called as its documentation calls it."""

    def one(self, text: str) -> object:
        """The answer for one text."""

    def many(self, texts: Sequence[str]) -> Sequence[object]:
        """The answers for all texts, batched as the tool does it, or as its documentation says."""

    def label(self, answer: object) -> str:
        """The label's name in an answer of ``many``. Not timed."""


_FEW = 20
_ALIKE = 0.8
Makers = Mapping[str, Callable[[Job], None]]
Loaders = Mapping[str, Callable[[Setup], Loaded]]


def command(*words: str | Path) -> None:
    """A tool's own command line has run; SystemExit with its exit code where that is not 0."""
    code = subprocess.run([str(word) for word in words], check=False).returncode
    if code:
        raise SystemExit(code if code > 0 else 128 - code)


def program(name: str) -> Path:
    """A command that the tool's environment installed."""
    return Path(sys.executable).parent / name


def run(makers: Makers, loaders: Loaders) -> int:
    """One command of this module's heading has been carried out; the exit code."""
    given = _parser(makers, loaders).parse_args()
    if given.do == "make":
        makers[given.how](Job(given.checkpoint, given.out, given.texts, given.max_length))
        return 0
    setup = Setup(given.made, given.file, given.threads, given.max_length)
    load = loaders[given.how]
    if given.do == "serve":
        return serve(lambda: load(setup), stdin=sys.stdin, stdout=sys.stdout)
    texts = json.load(sys.stdin)
    with redirect_stdout(sys.stderr):
        labels = _labels(load(setup), texts)
    json.dump(labels, sys.stdout)
    return 0


def _labels(loaded: Loaded, texts: Sequence[str]) -> list[str]:
    """Of every text; SystemExit where ``one`` answers another model or other texts than ``many``.

    Dynamic int8 answers a few texts otherwise in a batch than alone.
    """
    labels = [loaded.label(answer) for answer in loaded.many(texts)]
    if len(labels) != len(texts):
        raise SystemExit(f"{len(labels)} answers to {len(texts)} texts")
    few = texts[:_FEW]
    answers = [loaded.one(text) for text in few]
    # some give one answer for one text, some a list of it
    alone = [loaded.label(a[0] if isinstance(a, list) else a) for a in answers]
    same = sum(one == other for one, other in zip(alone, labels, strict=False))
    if same < _ALIKE * len(few):
        raise SystemExit(f"only {same} of {len(few)} texts are answered alone as in a list")
    return labels


def _parser(makers: Makers, loaders: Loaders) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("do", choices=("make", "serve", "answer"))
    parser.add_argument("how", choices=sorted({*makers, *loaders}))
    for name in ("checkpoint", "out", "texts", "made"):
        parser.add_argument(f"--{name}", type=Path)
    parser.add_argument("--file", default="")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--max-length", type=int, required=True)
    return parser
