"""Measured models beside what one core of the machine can give at most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from edgepipe.errors import BundleError, StageError, UsageError
from edgepipe.measure.child import Arm
from edgepipe.measure.latency import Measured
from edgepipe.measure.records import ArmTimes, Roofline
from edgepipe.measure.rounds import Conditions, Texts


def with_floors(
    measured: Measured, arms: Sequence[Arm], texts: Texts, conditions: Conditions
) -> tuple[Measured, Roofline | None]:
    """Every ONNX model carries its floor, and the machine its roofline, measured now.

    ``arms`` are the reference's and the candidates', in their order. Nothing is measured where the
    floor says nothing: on CUDA, with several threads, or without any ONNX model. A model whose
    operations cannot be counted gets a remark in place of a floor.
    """
    if conditions.clock != "cpu" or not any(arm.folder for arm in arms):
        return measured, None
    from edgepipe.measure import roofline

    peaks = roofline.measure(threads=conditions.threads)
    floored, remarks = [], list(measured.remarks)
    for times, arm in zip((measured.reference, *measured.candidates), arms, strict=True):
        try:
            floored.append(_floored(times, arm, texts, peaks))
        except (StageError, BundleError, UsageError) as error:  # it was timed all the same
            floored.append(times)
            remarks.append(f"{arm.name}: there is no floor to compare with: {error}")
    first, *others = floored
    found = replace(measured, reference=first, candidates=tuple(others), remarks=tuple(remarks))
    return found, peaks


def _floored(times: ArmTimes, arm: Arm, texts: Texts, peaks: Roofline) -> ArmTimes:
    from edgepipe.measure import roofline
    from edgepipe.runtime import cpu_features
    from edgepipe.runtime.choose import choose
    from edgepipe.runtime.manifest import read
    from edgepipe.runtime.tokenize import TextTokenizer

    if arm.folder is None:
        return times
    found = read(arm.folder)
    variant = choose(found, arm.variant, "cpu", cpu_features()).name
    tokenizer = TextTokenizer(arm.folder / found.tokenizer, found.max_length)
    lengths = [len(tokenizer.encode(text).ids) for text in texts.single]
    floor = roofline.floor(arm.folder, variant, lengths, peaks, times.cpu_p50_ms)
    return times.model_copy(update={"floor": floor})
