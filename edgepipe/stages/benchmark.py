"""Models and Dataset to Report: how fast each model is on this machine, beside the reference."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from edgepipe.artifacts import Checkpoint, Dataset, OnnxModel, Report, Split
from edgepipe.errors import StageError
from edgepipe.stage import Device, Named, Stage, Work

if TYPE_CHECKING:
    from edgepipe.measure.child import Arm
    from edgepipe.measure.records import BenchmarkReport, ServerRate
    from edgepipe.measure.rounds import Conditions, Texts

_SHARE = 15
_SERVER_SHARE = 6


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """The model to be faster than, the models made of it, and the data to take texts from."""

    reference: Checkpoint | OnnxModel
    candidates: Named[Checkpoint | OnnxModel]
    data: Dataset


class Benchmark(Stage[Inputs, Report]):
    """Time every model on real texts, each in a child process, interleaved in random order.

    Single texts one after the other, batches, and on request a server's load, after MLPerf's
    scenarios. The reference is timed beside itself too: where it differs, no ratio is believed.
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
    a fifteenth of it in every process round, and there are four rounds or more. They go on while a
    latency gate over this step is undecided, or without one until the ratios are known to 2 %."""
    server_bound_ms: Annotated[float, Field(gt=0)] | None = None
    """Also find the highest rate of random arrivals that one session answers within this bound,
    for a sixth of ``seconds`` a model, after everything else."""
    server_percentile: Literal[90, 99] = 99
    """Of the texts that have to be answered within it."""

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
            budget=Budget(seconds=self.seconds, round_seconds=self.seconds / _SHARE, together=True),
        )
        self._report(inputs, conditions, work).write(into / REPORT)
        return Report(path=into, content="benchmark")

    def _report(self, inputs: Inputs, conditions: Conditions, work: Work) -> BenchmarkReport:
        from edgepipe.measure.floors import with_floors
        from edgepipe.measure.latency import compare, report
        from edgepipe.measure.records import REFERENCE
        from edgepipe.measure.rounds import Texts
        from edgepipe.measure.scenarios import remark
        from edgepipe.measure.stopping import Limit
        from edgepipe.measure.texts import sample

        drawn = sample(inputs.data, self.split, max(self.texts, self.batch), seed=conditions.seed)
        texts = Texts(drawn[: self.texts], drawn[: self.batch])
        reference = _arm(REFERENCE, inputs.reference, conditions)
        candidates = list(self._candidates(inputs, conditions))
        limits = [Limit(*asked) for asked in work.asked]
        measured = compare(reference, candidates, texts, conditions, work.progress, limits=limits)
        arms = (reference, *candidates)
        floored, peaks = with_floors(measured, arms, texts, conditions)
        server = list(self._server(arms, texts, conditions, work))
        said = (*floored.remarks, *filter(None, map(remark, server)))
        return report(
            replace(floored, remarks=said),
            texts,
            conditions,
            data=inputs.data.digest,
            split=self.split,
            server=server,
            roofline=peaks,
        )

    def _server(
        self, arms: Sequence[Arm], texts: Texts, conditions: Conditions, work: Work
    ) -> Iterator[ServerRate]:
        from edgepipe.measure.scenarios import Bound, highest_rate

        if self.server_bound_ms is None:
            return
        bound = Bound(
            ms=self.server_bound_ms,
            percentile=self.server_percentile,
            seconds=self.seconds / _SERVER_SHARE,
        )
        for number, arm in enumerate(arms):
            work.progress(number, len(arms), f"{arm.name} under load")
            yield highest_rate(arm, texts.single, bound, conditions)

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
