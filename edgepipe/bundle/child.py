"""The child side of ``edgepipe.bundle.sandbox``: limit itself, do one job, answer in JSON.

``python -I -m edgepipe.bundle.child '{"job": …, "arguments": {…}, "memory": bytes, "seconds": n}'``
writes one object to standard output: ``{"result": …}``, ``{"error": message, "kind": class}`` or
``{"out_of_memory": true}``.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from edgepipe.errors import BundleError, DeviceError, EdgepipeError, ExitCode

Job = Callable[..., object]
_FILES = 128
_GRACE_S = 5


def examine(folder: str) -> dict[str, Any]:
    """See ``edgepipe.bundle.examine``."""
    from edgepipe.bundle.examine import examine as examined

    return examined(Path(folder)).model_dump(mode="json")


def compare(folder: str) -> dict[str, Any]:
    """See ``edgepipe.runtime.verify``; how many files there are."""
    from edgepipe.runtime.verify import verify

    return {"files": len(verify(Path(folder)).files)}


def authenticate(folder: str, public_key: str) -> dict[str, Any]:
    """See ``edgepipe.bundle.signing.check_signature``."""
    from edgepipe.bundle.signing import check_signature

    check_signature(Path(folder), Path(public_key))
    return {}


def replay(folder: str, variant: str) -> dict[str, Any]:
    """The largest difference from the golden answers on the CPU, or why the variant is not for it.

    BundleError when it is, and a run fails.
    """
    from edgepipe import runtime
    from edgepipe.runtime import golden

    try:
        classifier = runtime.load(folder, device="cpu", variant=variant, threads=1)
    except DeviceError as error:
        return {"skipped": str(error)}
    try:
        with classifier:
            return {"difference": golden.replay(classifier, Path(folder))}
    except DeviceError as error:
        raise BundleError(f"{folder}: {error}") from error


JOBS: Mapping[str, Job] = {
    "authenticate": authenticate,
    "compare": compare,
    "examine": examine,
    "replay": replay,
}


def main(jobs: Mapping[str, Job] = JOBS) -> ExitCode:
    """The job named on the command line is done, and answered for, within the limits given there.

    An error that nobody raised on purpose ends the process with a traceback and no answer.
    """
    request = json.loads(sys.argv[1])
    limit(request["memory"], request["seconds"])
    answers = _reserved_output()
    with contextlib.suppress(BrokenPipeError):  # the parent has gone
        answer = _answer(jobs[request["job"]], request["arguments"])
        with os.fdopen(answers, "w", encoding="utf-8") as file:
            json.dump(answer, file, allow_nan=False)
    return ExitCode.OK


def _answer(job: Job, arguments: dict[str, Any]) -> dict[str, object]:
    try:
        return {"result": job(**arguments)}
    except MemoryError:
        return {"out_of_memory": True}
    except EdgepipeError as error:
        if _is_memory(error):
            return {"out_of_memory": True}
        return {"error": str(error), "kind": type(error).__name__}


def _is_memory(error: BaseException | None) -> bool:
    """Whether a MemoryError, or C++'s word for it, is among the causes."""
    while error is not None:
        if isinstance(error, MemoryError) or "bad_alloc" in str(error):
            return True
        error = error.__cause__
    return False


def limit(memory: int, seconds: int) -> None:
    """This process gets no more than that, nor does what it starts.

    ``memory`` is bytes of address space, ``seconds`` CPU time. It can leave no core dump and write
    no byte to a file (pipes aside; it can make empty ones), and opens 128 files at most. Other
    systems than Linux know some of these limits or none, and go without.
    """
    try:
        import resource
    except ImportError:  # Windows
        return
    for kind, soft, hard in (
        (resource.RLIMIT_CORE, 0, 0),
        (resource.RLIMIT_FSIZE, 0, 0),
        (resource.RLIMIT_NOFILE, _FILES, _FILES),
        (resource.RLIMIT_CPU, seconds, seconds + _GRACE_S),
        (resource.RLIMIT_AS, memory, memory),
    ):
        before = resource.getrlimit(kind)[1]
        most = hard if before == resource.RLIM_INFINITY else min(hard, before)
        try:
            resource.setrlimit(kind, (min(soft, most), most))
        except (OSError, ValueError):
            if sys.platform == "linux":
                raise


def _reserved_output() -> int:
    """A descriptor to where standard output went, which from now on leads to standard error.

    So a talkative library cannot spoil the answer.
    """
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    return kept


if __name__ == "__main__":
    sys.exit(main())
