"""Models and Dataset to Report: how fast each model is on this machine, beside the reference."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from edgepipe.artifacts import Checkpoint, Dataset, OnnxModel, Report, Split
from edgepipe.errors import StageError
from edgepipe.stage import Device, Named, Stage, Work

if TYPE_CHECKING:
    from edgepipe.measure.child import Arm
    from edgepipe.measure.records import BenchmarkReport
    from edgepipe.measure.rounds import Conditions

_SHARE = 15


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """The model to be faster than, the models made of it, and the data to take texts from."""

    reference: Checkpoint | OnnxModel
    candidates: Named[Checkpoint | OnnxModel]
    data: Dataset


class Benchmark(Stage[Inputs, Report]):
    """Time every model on real texts, each in a child process, interleaved in random order.

    Checkpoints run in torch (eager attention, float32), ONNX models in the runtime. Clocks are
    never cached: this stage runs anew every time.
    """

    inputs = Inputs
    makes = Report
    tools = ("onnxruntime", "tokenizers", "torch", "transformers")
    depends = frozenset({"seed", "device"})
    measures = True
    cached = False

    split: Split = "validation"
    """Texts come from here; the test split stays unread."""
    texts: Annotated[int, Field(ge=10)] = 200
    """Different texts, drawn at random, that are answered one by one."""
    batch: Annotated[int, Field(ge=1)] = 256
    """Texts in one call for throughput."""
    plain: bool = True
    """Also time every ONNX candidate with onnxruntime's default session options, as other
    programs would run it."""
    seconds: Annotated[float, Field(gt=0)] = 120.0
    """No further round of measuring begins when it would end after this; single texts are timed for
    a fifteenth of it in every process round, and there are four rounds or more."""

    def requires(self, inputs: Inputs) -> None:
        """There is something to compare, and something to answer."""
        inputs.data.file(self.split)
        if not inputs.data.splits[self.split].rows:
            raise StageError(f"the {self.split} split of the dataset is empty")
        if not inputs.candidates:
            raise StageError("there are no candidates to compare with the reference")

    def run(self, inputs: Inputs, into: Path, work: Work) -> Report:
        """Write ``report.json``, a ``BenchmarkReport``."""
        from edgepipe.measure.records import REPORT
        from edgepipe.measure.rounds import Budget, Conditions

        conditions = Conditions(
            device=work.device,
            threads=work.threads,
            seed=work.seed,
            budget=Budget(seconds=self.seconds, round_seconds=self.seconds / _SHARE),
        )
        self._report(inputs, conditions, work).write(into / REPORT)
        return Report(path=into, content="benchmark")

    def _report(self, inputs: Inputs, conditions: Conditions, work: Work) -> BenchmarkReport:
        from edgepipe.measure.latency import compare
        from edgepipe.measure.machine import machine
        from edgepipe.measure.records import REFERENCE, BenchmarkReport
        from edgepipe.measure.rounds import Texts
        from edgepipe.measure.texts import sample

        drawn = sample(inputs.data, self.split, max(self.texts, self.batch), seed=conditions.seed)
        texts = Texts(drawn[: self.texts], drawn[: self.batch])
        reference = _arm(REFERENCE, inputs.reference, conditions)
        measured = compare(
            reference, list(self._candidates(inputs, conditions)), texts, conditions, work.progress
        )
        return BenchmarkReport(
            machine=machine(),
            device=conditions.device,
            threads=conditions.threads,
            clock=conditions.clock,
            data=inputs.data.digest,
            split=self.split,
            texts=len(texts.single),
            batch=len(texts.batch),
            seed=conditions.seed,
            seconds=measured.seconds,
            reference=measured.reference,
            candidates=measured.candidates,
            speedups=measured.speedups,
            control=measured.control,
            doubts=measured.doubts,
            remarks=measured.remarks,
        )

    def _candidates(self, inputs: Inputs, conditions: Conditions) -> Iterator[Arm]:
        from edgepipe.measure.records import PLAIN

        for name, model in inputs.candidates.items():
            yield _arm(name, model, conditions)
            if self.plain and isinstance(model, OnnxModel):
                yield _arm(name + PLAIN, model, conditions, plain=True)


def _arm(
    name: str, model: Checkpoint | OnnxModel, conditions: Conditions, *, plain: bool = False
) -> Arm:
    """The command that answers with this model, and what the report says of it."""
    from dataclasses import replace

    from edgepipe.measure.child import Arm, onnx_arm
    from edgepipe.measure.models import device_of, file_sizes

    device, threads = device_of(model, conditions.device), conditions.threads
    if isinstance(model, OnnxModel):
        arm = onnx_arm(name, model.path, device=device, threads=threads, plain=plain)
    else:
        arm = Arm(name, _torch(model, device, threads), device=device)
    return replace(arm, digest=model.digest, bytes=sum(file_sizes(model).values()))


def _torch(model: Checkpoint, device: Device, threads: int) -> tuple[str, ...]:
    from edgepipe.measure.child import module

    return (
        *module("edgepipe.training.worker_torch"),
        *("--checkpoint", str(model.path)),
        *("--max-length", str(model.max_length)),
        *("--threads", str(threads)),
        *("--device", device),
    )
