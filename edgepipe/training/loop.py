"""The training loop: repeatable, resumable, and blind to the task.

Batches follow from (seed, epoch) and every step's random numbers from (seed, step). A state is
therefore the weights, the optimizer's moments and a position, and how often it is published changes
nothing.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from transformers import PreTrainedModel

from edgepipe.errors import StageError
from edgepipe.training import optim
from edgepipe.training.batches import Batch, Batches
from edgepipe.training.device import autocast, training_mode
from edgepipe.training.dropout import FastDropout
from edgepipe.training.resume import Position, Store
from edgepipe.training.settings import Optimisation

Objective = Callable[[PreTrainedModel, Batch], torch.Tensor]
"""The loss of one batch, a scalar. Where it is an ``nn.Module``, its own weights train too."""
Score = Callable[[PreTrainedModel], float]
"""How good the model is on the validation split; more is better."""
Progress = Callable[[int, int, str], None]
PUBLISH_EVERY_S = 60.0


@dataclass(frozen=True, kw_only=True)
class Job:
    """What is trained, on what, towards what."""

    model: PreTrainedModel
    objective: Objective
    batches: Batches
    score: Score
    settings: Optimisation


@dataclass(frozen=True, kw_only=True)
class Run:
    """Where a training run keeps its states, what it repeats from, and who listens."""

    folder: Path
    seed: int
    device: torch.device
    progress: Progress
    publish_every_s: float = PUBLISH_EVERY_S


@dataclass(frozen=True)
class Outcome:
    """What training came to."""

    epochs: int
    """Epochs run; fewer than asked for when it stopped early."""
    best_epoch: int
    """The epoch whose weights were kept, counted from 1."""
    score: float


def fit(job: Job, run: Run) -> Outcome:
    """``job.model`` holds the weights of its best epoch, in evaluation mode.

    Continues from the newest state in ``run.folder``; after a kill the weights come out bit for bit
    as if it had not happened, on the same machine with the same number of cores. Raises StageError
    when the loss or the gradient is no longer a number.
    """
    with torch.random.fork_rng(), training_mode(job.batches.device), FastDropout():
        return _Trainer(job, run).train()


class _Trainer:
    def __init__(self, job: Job, run: Run) -> None:
        self.job, self.run = job, run
        self.batches, self.settings = job.batches, job.settings
        self.total = job.settings.epochs * job.batches.per_epoch
        self.parameters = _trainable(job.model, job.objective)
        self.optimizer = optim.adamw(self.parameters, job.settings.weight_decay)
        self.store = Store(run.folder)
        self.position = Position()
        self.published = time.monotonic()

    def train(self) -> Outcome:
        self._restore()
        while self.position.epoch < self.settings.epochs and not self._out_of_patience():
            self.job.model.train(mode=True)
            for batch in self.batches.epoch(self.position.epoch, self.position.batch):
                self._step(batch)
            self._finish_epoch()
        with torch.no_grad():
            for name, value in self.store.best(self.position.best_epoch).items():
                self.parameters[name].copy_(value)
        self.job.model.train(mode=False)
        return Outcome(self.position.epoch, self.position.best_epoch + 1, self.position.best_score)

    def _step(self, batch: Batch) -> None:
        step = self.position.step(self.batches.per_epoch)
        torch.manual_seed(step_seed(self.batches.seed, step))
        factor = optim.rate(step, self.total, self.settings.warmup_ratio)
        optim.set_rate(self.optimizer, self.settings.learning_rate * factor)
        with autocast(self.batches.device, self.settings.precision):
            loss = self.job.objective(self.job.model, batch)
        self._check(loss, "loss", step)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(list(self.parameters.values()), self.settings.max_grad_norm)
        self._check(norm, "gradient", step)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.position = dataclasses.replace(self.position, batch=self.position.batch + 1)
        if time.monotonic() - self.published >= self.run.publish_every_s:
            self._publish()
        epoch = f"epoch {self.position.epoch + 1} of {self.settings.epochs}"
        self.run.progress(step + 1, self.total, f"{epoch}, loss {loss.item():.4f}")

    def _check(self, value: torch.Tensor, what: str, step: int) -> None:
        if not math.isfinite(value.item()):
            raise StageError(
                f"the {what} became {value.item()} at step {step + 1} of {self.total}; try a lower "
                f"learning_rate (now {self.settings.learning_rate:g}), a longer warmup_ratio or "
                'precision = "fp32"'
            )

    def _finish_epoch(self) -> None:
        value = self.job.score(self.job.model)
        now = self.position
        best = value > now.best_score or now.best_epoch < 0
        if best:
            self.store.publish_best(now.epoch, self._weights())
        self.position = Position(
            epoch=now.epoch + 1,
            batch=0,
            best_epoch=now.epoch if best else now.best_epoch,
            best_score=value if best else now.best_score,
            waited=0 if best else now.waited + 1,
        )
        self._publish()
        done = self.position.step(self.batches.per_epoch)
        self.run.progress(done, self.total, f"epoch {now.epoch + 1}: validation {value:.4f}")

    def _out_of_patience(self) -> bool:
        patience = self.settings.patience
        return patience is not None and self.position.waited >= patience

    def _weights(self) -> dict[str, torch.Tensor]:
        return {name: p for name, p in self.parameters.items() if name.startswith(_MODEL)}

    def _publish(self) -> None:
        moments = optim.moments(self.optimizer, self.parameters)
        tensors = {**{f"{name}/weight": p for name, p in self.parameters.items()}, **moments}
        self.store.publish(self.position, tensors, self.batches.per_epoch)
        self.published = time.monotonic()

    def _restore(self) -> None:
        found = self.store.newest()
        if found is None:
            return
        self.position, tensors = found
        with torch.no_grad():
            for name, parameter in self.parameters.items():
                parameter.copy_(tensors.pop(f"{name}/weight"))
        optim.restore_moments(self.optimizer, self.parameters, tensors)


_MODEL, _OBJECTIVE = "model.", "objective."


def _trainable(model: PreTrainedModel, objective: Objective) -> dict[str, nn.Parameter]:
    """Every weight that training moves, by name."""
    named = [(f"{_MODEL}{name}", p) for name, p in model.named_parameters()]
    if isinstance(objective, nn.Module):
        named += [(f"{_OBJECTIVE}{name}", p) for name, p in objective.named_parameters()]
    return {name: p for name, p in named if p.requires_grad}


def step_seed(seed: int, step: int) -> int:
    """The seed of one step's random numbers, below 2**63."""
    return int(np.random.SeedSequence([seed, step]).generate_state(1, np.uint64)[0] >> 1)
