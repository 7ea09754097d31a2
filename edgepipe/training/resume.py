"""Training states that survive a kill: published by rename, safetensors and JSON, no pickle."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError

from edgepipe import disk
from edgepipe.errors import StageError

_TENSORS, _POSITION = "tensors.safetensors", "position.json"
Tensors = Mapping[str, torch.Tensor]


@dataclass(frozen=True)
class Position:
    """How far training has come; orders and random numbers follow from it."""

    epoch: int = 0
    """Epochs finished and scored."""
    batch: int = 0
    """Batches of the next epoch that were trained on."""
    best_epoch: int = -1
    """The epoch whose weights are kept, counted from 0; -1 before the first is scored."""
    best_score: float = float("-inf")
    waited: int = 0
    """Epochs since the best."""

    def step(self, per_epoch: int) -> int:
        """Optimizer steps made so far."""
        return self.epoch * per_epoch + self.batch


class Store:
    """Keeps the newest state and the best weights in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def newest(self) -> tuple[Position, dict[str, torch.Tensor]] | None:
        """The last state published that can be read; None: start from the beginning."""
        for place in reversed(self._places("state")):
            try:
                tensors = _read(place)
                fields = json.loads((place / _POSITION).read_text(encoding="utf-8"))
                position = Position(**fields)
            except (OSError, ValueError, TypeError, SafetensorError):
                continue
            if position.best_epoch < 0 or self._best(position.best_epoch).is_dir():
                return position, tensors
        return None

    def publish(self, position: Position, tensors: Tensors, per_epoch: int) -> None:
        """``newest`` gives this state from now on; what it makes superfluous is removed."""
        place = self.folder / f"state-{position.step(per_epoch):09d}-{position.epoch:05d}"
        self._write(place, tensors, position)
        for old in self._places("state"):
            if old != place:
                disk.remove_tree(old)
        for old in self._places("best"):
            if old != self._best(position.best_epoch):
                disk.remove_tree(old)

    def publish_best(self, epoch: int, tensors: Tensors) -> None:
        """``best(epoch)`` gives these weights from now on."""
        self._write(self._best(epoch), tensors, None)

    def best(self, epoch: int) -> dict[str, torch.Tensor]:
        """The weights kept for ``epoch``. Raises StageError when they cannot be read."""
        try:
            return _read(self._best(epoch))
        except (OSError, SafetensorError) as error:
            raise StageError(
                f"{self._best(epoch)} is damaged ({error}); remove {self.folder} and run again"
            ) from error

    def keep(self, name: str, tensors: Tensors) -> None:
        """``kept(name)`` gives these from now on, whatever else comes and goes."""
        disk.remove_tree(self.folder / name)
        self._write(self.folder / name, tensors, None)

    def kept(self, name: str) -> dict[str, torch.Tensor] | None:
        """What ``keep`` stored, or None when there is nothing that can be read."""
        try:
            return _read(self.folder / name)
        except (OSError, SafetensorError):
            return None

    def _write(self, place: Path, tensors: Tensors, position: Position | None) -> None:
        plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        with disk.scratch(self.folder, prefix=".new-") as folder:
            disk.write_bytes(folder / _TENSORS, safetensors.torch.save(plain))
            if position is not None:
                fields = asdict(position)
                disk.write_json(folder / _POSITION, _finite(fields))
            disk.publish(folder, place)

    def _best(self, epoch: int) -> Path:
        return self.folder / f"best-{epoch:05d}"

    def _places(self, kind: str) -> list[Path]:
        if not self.folder.is_dir():
            return []
        pattern = re.compile(rf"{kind}-[0-9-]+")
        return sorted(path for path in self.folder.iterdir() if pattern.fullmatch(path.name))


def _finite(fields: dict[str, float]) -> dict[str, float]:
    """Without the score that JSON cannot say; its absence means the default."""
    return {key: value for key, value in fields.items() if value != float("-inf")}


def _read(place: Path) -> dict[str, torch.Tensor]:
    return safetensors.torch.load_file(place / _TENSORS)
