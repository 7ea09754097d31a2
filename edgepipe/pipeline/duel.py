"""Two models measured live beside each other on this machine: an old release and a new one."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from edgepipe import __version__
from edgepipe.errors import UsageError
from edgepipe.measure.child import Arm, onnx_arm
from edgepipe.measure.counts import ...
