"""What a fresh process needs to load a model and answer."""

from __future__ import annotations

from edgepipe.measure.child import onnx_arm, running
from edgepipe.measure.models import Device
from edgepipe.measure.subject import Subject


def peak_memory_bytes(subject: Subject, tokens: int, *, device: Device) -> int:
    """Resident bytes, at most, of a process that answers one text of ``tokens`` tokens.

    The interpreter, the runtime and its packages included; 0 where the system does not tell. On
    CUDA it is the memory of the machine, not of the GPU. Raises StageError when the process fails.
    """
    arm = onnx_arm(
        subject.variant.name,
        subject.folder,
        variant=subject.variant.name,
        device=device,
        threads=1,
    )
    with running(arm, threads=1) as child:
        child.load("thread")
        child.block([subject.text(tokens)], 0)
        return child.peak_memory()
