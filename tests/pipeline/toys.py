"""Stages small enough to see through: a number in a file, doubled, added up, wrapped."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgepipe import disk
from edgepipe.artifacts import Bundle, Checkpoint, Dataset, OnnxModel, Provenance, SplitRecord
from edgepipe.errors import StageError
from edgepipe.pipeline.definition import Pipeline
from edgepipe.pipeline.graph import Step
from edgepipe.pipeline.settings import RunSettings
from edgepipe.sources import Source
from edgepipe.stage import Named, Stage, Work


def dataset(path: Path, text: str) -> Dataset:
    disk.write_text(path / "train.jsonl", text)
    rows = SplitRecord(rows=1, label_counts=(1, 0))
    return Dataset(path=path, labels=("no", "yes"), splits={"train": rows})


@dataclass(frozen=True, kw_only=True)
class Nothing:
    pass


class Number(Stage[Nothing, Dataset]):
    inputs = Nothing
    makes = Dataset

    value: int = 1
    file: Source | None = None

    def run(self, inputs: Nothing, into: Path, work: Work) -> Dataset:
        extra = self.file.locate().read_text() if self.file else ""
        return dataset(into, f"{self.value}{extra}")


@dataclass(frozen=True, kw_only=True)
class OneNumber:
    number: Dataset


class Double(Stage[OneNumber, Checkpoint]):
    inputs = OneNumber
    makes = Checkpoint
    depends = frozenset({"seed"})

    fail: str = ""

    def run(self, inputs: OneNumber, into: Path, work: Work) -> Checkpoint:
        done = work.path / "half"
        if not done.exists():
            with disk.scratch(work.path) as scratch:
                disk.write_text(disk.make_folder(scratch / "half") / "note", "half-way")
                disk.publish(scratch / "half", done)
        if self.fail:
            raise StageError(self.fail)
        value = int(inputs.number.file("train").read_text())
        disk.write_text(into / "value", str(2 * value))
        return Checkpoint(
            path=into,
            task="text-classification",
            labels=("no", "yes"),
            max_length=8,
            model_type="toy",
            parameters=1,
            provenance=Provenance(source="toy"),
        )


@dataclass(frozen=True, kw_only=True)
class Several:
    parts: Named[Checkpoint | Dataset]
    note: Dataset | None = None


class Wrap(Stage[Several, Bundle]):
    inputs = Several
    makes = Bundle

    def run(self, inputs: Several, into: Path, work: Work) -> Bundle:
        for name, part in inputs.parts.items():
            source = "value" if isinstance(part, Checkpoint) else "train.jsonl"
            disk.copy_file(part.path / source, into / name)
        return Bundle(path=into, name=work.name, variants=tuple(inputs.parts))


class Clock(Stage[OneNumber, Dataset]):
    inputs = OneNumber
    makes = Dataset
    cached = False

    def run(self, inputs: OneNumber, into: Path, work: Work) -> Dataset:
        return dataset(into, "tick")


class WrongType(Stage[Nothing, OnnxModel]):
    inputs = Nothing
    makes = OnnxModel

    def run(self, inputs: Nothing, into: Path, work: Work) -> OnnxModel:
        return dataset(into, "no model")  # type: ignore[return-value]


def pipeline(*steps: Step, seed: int = 0) -> Pipeline:
    return Pipeline(
        name="toy",
        task="text-classification",
        file=Path("toy.toml"),
        text="",
        run=RunSettings(seed=seed),
        steps=steps,
        gates=(),
    )


def step(name: str, stage: Stage, **wires: str | tuple[str, ...]) -> Step:
    return Step(name=name, use=type(stage).__name__.lower(), stage=stage, wires=wires)


def chain(value: int = 3, *, fail: str = "", seed: int = 0) -> Pipeline:
    return pipeline(
        step("number", Number(value=value)),
        step("double", Double(fail=fail), number="number"),
        step("wrapped", Wrap(), parts=("double", "number")),
        step("clock", Clock(), number="number"),
        seed=seed,
    )
