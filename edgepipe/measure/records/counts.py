"""What a count step leaves: figures without noise, the same on every machine but for placement."""

from __future__ import annotations

from typing import Literal

from edgepipe.measure.machine import Machine
from edgepipe.measure.models import Device
from edgepipe.measure.records.base import Bytes, Count, NotNegative, Record, ReportBase, arm_of


class ArmCounts(Record):
    """One ONNX model, counted. Figures in flops and bytes are for one text of ``tokens`` tokens."""

    name: str
    digest: str
    precision: str
    device: Device
    operators: dict[str, Count]
    """Nodes in the files, by operator; those of other domains as ``com.microsoft::Gelu``."""
    executed: dict[str, dict[str, Count]]
    """Nodes left after onnxruntime's optimizers in the runtime's session: counts by operator, by
    execution provider."""
    executed_plain: dict[str, dict[str, Count]]
    """The same in a session with onnxruntime's default options."""
    fp32_flops: NotNegative
    """Floating-point operations of matrix products (2 for each multiply and add) and convolutions
    on floats."""
    int8_ops: NotNegative
    """The same on 8-bit integers."""
    uncounted: tuple[str, ...]
    """Operators that may multiply matrices in a way not known here; empty: nothing was missed."""
    weight_bytes: Bytes
    """Initializers, and tensors in ``Constant`` nodes above 1 kB."""
    activation_bytes: Bytes
    """Every value that a node computes, all of them together."""
    peak_activation_bytes: Bytes
    """Those that live at the same time, at most, in the order of the file."""
    files: dict[str, Bytes]
    """Bytes of each file that ships."""
    bytes: Bytes
    peak_memory_bytes: Bytes
    """Resident memory of a fresh process that loads the model and answers one text; 0 where the
    system does not tell."""

    @property
    def flops(self) -> float:
        """Both kinds together."""
        return self.fp32_flops + self.int8_ops


class CountsReport(ReportBase):
    """Counts of ONNX models: no clock, no noise."""

    content: Literal["counts"] = "counts"
    machine: Machine
    tokens: Count
    models: tuple[ArmCounts, ...]

    @property
    def arms(self) -> tuple[ArmCounts, ...]:
        """The models."""
        return self.models

    def arm(self, name: str) -> ArmCounts:
        """The model of that name; ValueError without one."""
        return arm_of(self.arms, name)
