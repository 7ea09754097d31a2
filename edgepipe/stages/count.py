"""OnnxModels to Report: what each is made of, multiplies, holds and really runs; no clock."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from edgepipe.artifacts import OnnxModel, Report
from edgepipe.errors import StageError
from edgepipe.stage import Named, Stage, Work

if TYPE_CHECKING:
    from edgepipe.measure.records import ArmCounts

_GRAPH = "model"
_TASK = "text-classification"


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """The models to count."""

    models: Named[OnnxModel]


class Count(Stage[Inputs, Report]):
    """Count operators, operations, bytes, and the nodes left after onnxruntime's optimizers.

    The same every time, so a gate on them needs no interval. Counted for one text alone.
    """

    inputs = Inputs
    makes = Report
    tools = ("onnxruntime", "onnx", "tokenizers", "numpy")
    depends = frozenset({"device", "cpu"})

    tokens: Annotated[int, Field(ge=1)] = 128
    """Of the text, special ones included; cut to the smallest ``max_length`` of the models."""

    def requires(self, inputs: Inputs) -> None:
        """There are models, and each takes texts by one graph."""
        if not inputs.models:
            raise StageError("count needs at least one ONNX model")
        for name, model in inputs.models.items():
            if model.task != _TASK or set(model.graphs) != {_GRAPH}:
                raise StageError(
                    f"{name} is for {model.task!r} with graphs {sorted(model.graphs)}; count knows "
                    f"{_TASK!r} with one graph {_GRAPH!r}"
                )

    def run(self, inputs: Inputs, into: Path, work: Work) -> Report:
        """Write ``report.json``, a ``CountsReport``."""
        from edgepipe.measure.machine import machine
        from edgepipe.measure.records import REPORT, CountsReport

        tokens = min(self.tokens, *(model.max_length for model in inputs.models.values()))
        cut = f" (not {self.tokens}: a model takes no more)" if tokens < self.tokens else ""
        models = []
        for done, (name, model) in enumerate(inputs.models.items()):
            message = f"counting {name} on a text of {tokens} tokens{cut}"
            work.progress(done, len(inputs.models), message)
            models.append(_counted(name, model, tokens, work))
        report = CountsReport(machine=machine(), tokens=tokens, models=tuple(models))
        report.write(into / REPORT)
        return Report(path=into, content="counts")


def _counted(name: str, model: OnnxModel, tokens: int, work: Work) -> ArmCounts:
    from edgepipe.measure.counts import arm_counts
    from edgepipe.measure.models import device_of, file_sizes
    from edgepipe.measure.subject import subject

    return arm_counts(
        subject(model.path),
        tokens,
        name=name,
        digest=model.digest,
        precision=model.precision,
        device=device_of(model, work.device),
        files=file_sizes(model),
    )
