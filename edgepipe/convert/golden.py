"""What torch answers for single texts, for any language to check itself against."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edgepipe.convert.feeds import Ids, single
from edgepipe.convert.parity import torch_logits


def answers(model: Any, rows: Sequence[Ids], names: Sequence[str]) -> list[list[float]]:
    """Logits of each row alone, at exact length, each the shortest decimal of its float32."""
    found = [torch_logits(model, single(row, names))[0] for row in rows]
    return [[float(str(value)) for value in logits] for logits in found]
