"""Compress, prove and run transformers: from a checkpoint and a dataset to an ONNX bundle.

``plan``, ``run``, ``gate`` and ``load`` are the command line's verbs as functions. Nothing is
imported until one of them is used: ``import edgepipe`` and ``edgepipe.runtime`` stay light.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgepipe.api import gate, plan, run
    from edgepipe.runtime import load

# onnxruntime's official builds send usage data unless told otherwise before their first import,
# from a thread that makes a forked child hang at its exit.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__version__ = "0.1.0"
__all__ = ["gate", "load", "plan", "run"]
_HOME = {
    "gate": "edgepipe.api",
    "load": "edgepipe.runtime",
    "plan": "edgepipe.api",
    "run": "edgepipe.api",
}


def __getattr__(name: str) -> object:
    """Import a public name on first use."""
    if name not in _HOME:
        raise AttributeError(f"module 'edgepipe' has no attribute {name!r}")
    try:
        return getattr(importlib.import_module(_HOME[name]), name)
    except ModuleNotFoundError as error:
        if (error.name or __name__).partition(".")[0] == __name__:
            raise
        from edgepipe.errors import MissingDependencyError

        extra = "cpu" if name == "load" else "cli"
        raise MissingDependencyError(str(error.name), extra, f"edgepipe.{name}") from error
