"""The one interface a stage meets: ``requires``, then ``run``, then ``ensures``."""

from __future__ import annotations

import contextlib
import importlib.metadata
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Generic, Literal, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict

from edgepipe.artifacts import Artifact
from edgepipe.errors import StageError
from edgepipe.sources import walk

A = TypeVar("A", bound=Artifact)
In = TypeVar("In")
Out = TypeVar("Out", bound=Artifact)
Named = Mapping[str, A]
"""An input port that takes a list of steps; the stage sees their artifacts by step name."""
Device = Literal["cpu", "cuda"]
Depends = Literal["seed", "device", "name", "cpu"]


def _silent(done: int, total: int, message: str) -> None:
    """Nobody listens."""


class Asked(NamedTuple):
    """What a gate asks of a candidate's clock: it tells how long to measure, never what is told."""

    of: str
    min_ratio: float
    """Reference time over candidate time, at least."""
    confidence: float


@dataclass(frozen=True, kw_only=True)
class Work:
    """What a stage may use while it runs, beside its inputs.

    ``path`` survives a kill under the step's key: publish there (``disk.publish``) what a second
    run can continue from. ``progress(done, total, message)`` is for people; call it freely.
    """

    path: Path
    name: str = "model"
    """The pipeline's."""
    seed: int = 0
    device: Device = "cpu"
    threads: int = 1
    """Threads that a measurement may use; training may use every core the process has."""
    asked: tuple[Asked, ...] = ()
    """By the latency gates over this step; in no cache key, since clocks are not cached."""
    progress: Callable[[int, int, str], None] = _silent


class Stage(BaseModel, ABC, Generic[In, Out]):
    """Turns artifacts into one artifact. Its fields are its settings and nothing else.

    Same settings, same inputs, same ``version``: same result. Raise ``version`` when a change of
    the frame itself changes what comes out; changes of the toolkit code enter the key by hash.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True
    )

    version: ClassVar[str] = "1"
    inputs: ClassVar[type]
    """A frozen dataclass of ports: ``A``, ``A | B``, ``A | None`` (optional), ``Named[A]``."""
    makes: ClassVar[type[Artifact]]
    tools: ClassVar[tuple[str, ...]] = ()
    """Distributions whose version the result depends on."""
    depends: ClassVar[frozenset[Depends]] = frozenset()
    """Which of the run's own settings the result depends on."""
    measures: ClassVar[bool] = False
    """The result depends on timing: the machine record and the thread count enter the key."""
    cached: ClassVar[bool] = True
    """False for clocks: they are taken anew in every run."""

    def reads(self) -> dict[str, Path]:
        """The outside files and folders whose content the result depends on, by name.

        Those that the settings name; a stage that reads others beside them adds these.
        """
        return {where: source.locate() for where, source in walk(self)}

    def requires(self, inputs: In) -> None:
        """Raise StageError when ``inputs`` cannot be worked on. Runs first, and is cheap."""

    @abstractmethod
    def run(self, inputs: In, into: Path, work: Work) -> Out:
        """Write the new artifact into the empty directory ``into`` and return its record."""

    def ensures(self, made: Out) -> None:
        """Raise StageError when ``made`` breaks what this stage promises."""

    def __call__(self, inputs: In, into: Path, work: Work) -> Out:
        """Run with the contract held: asked first, checked afterwards, committed last."""
        self.requires(inputs)
        made = self.run(inputs, into, work)
        if not isinstance(made, self.makes):
            raise StageError(
                f"{type(self).__name__} made {type(made).__name__}, not {self.makes.__name__}"
            )
        if made.path != into:
            raise StageError(f"{type(self).__name__} wrote to {made.path} instead of {into}")
        self.ensures(made)
        return made.commit()


def version_of(distribution: str) -> str:
    """The installed version, or ``not installed``; onnxruntime comes as one of two wheels."""
    names = ("onnxruntime", "onnxruntime-gpu") if distribution == "onnxruntime" else (distribution,)
    for name in names:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            return importlib.metadata.version(name)
    return "not installed"
