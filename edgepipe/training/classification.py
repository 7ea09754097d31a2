"""What training needs to know about text classification: its data, loss and scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from edgepipe.training.batches import Batch, Batches
from edgepipe.training.data import Split, read_split, unknown_share
from edgepipe.training.load import label_names
from edgepipe.training.loop import Outcome, Run, Score
from edgepipe.training.metrics import Labels, balanced_weights, score
from edgepipe.training.predict import pad_id, run
from edgepipe.training.save import save_checkpoint
from edgepipe.training.settings import Optimisation


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """A labelled dataset on disk."""

    train: Path
    validation: Path
    labels: tuple[str, ...]
    counts: tuple[int, ...]
    """Training rows of each label."""


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A model that is done, what belongs to it, and figures worth reporting."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast
    max_length: int
    notes: Mapping[str, float]

    @property
    def labels(self) -> tuple[str, ...]:
        """What the model's outputs stand for, in their order."""
        return label_names(self.model.config)

    @property
    def parameters(self) -> int:
        """Weights in the model, shared ones counted once."""
        return sum(parameter.numel() for parameter in self.model.parameters())

    def save(self, folder: Path) -> None:
        """``folder`` holds the checkpoint's four files. Raises DiskError."""
        save_checkpoint(self.model, self.tokenizer, folder, self.max_length)


@dataclass(frozen=True, kw_only=True)
class Splits:
    """Both splits that training may look at, encoded alike."""

    train: Split
    validation: Split

    @classmethod
    def read(cls, corpus: Corpus, tokenizer: PreTrainedTokenizerFast, max_length: int) -> Splits:
        """The corpus cut to ``max_length`` tokens."""
        tokenize = tokenizer.backend_tokenizer
        return cls(
            train=read_split(corpus.train, tokenize, max_length),
            validation=read_split(corpus.validation, tokenize, max_length),
        )

    def batches(self, model: PreTrainedModel, settings: Optimisation, run: Run) -> Batches:
        """The training split, to be drawn from."""
        return Batches(
            encoded=self.train.encoded,
            labels=self.train.labels,
            pad=pad_id(model),
            batch_size=settings.batch_size,
            seed=run.seed,
            device=run.device,
        )

    def scorer(self, settings: Optimisation, classes: int) -> Score:
        """A function from model to the settings' metric on the validation split."""
        truth = self.validation.labels
        return lambda model: score(settings.metric, truth, self.answers(model), classes)

    def answers(self, model: PreTrainedModel) -> Labels:
        """The model's label for every validation text, int64 [texts]."""
        labels: Labels = run(model, self.validation.encoded, pad_id(model)).argmax(axis=1)
        return labels

    def notes(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, outcome: Outcome
    ) -> dict[str, float]:
        """Figures worth reporting of a finished training."""
        truth, answers = self.validation.labels, self.answers(model)
        classes = model.config.num_labels or 0
        return {
            "validation_accuracy": score("accuracy", truth, answers, classes),
            "validation_macro_f1": score("macro_f1", truth, answers, classes),
            "epochs": outcome.epochs,
            "best_epoch": outcome.best_epoch,
            "truncated_train_texts": self.train.encoded.truncated,
            "truncated_validation_texts": self.validation.encoded.truncated,
            "unknown_token_rate": unknown_share(self.train.encoded, tokenizer.unk_token_id),
        }


class CrossEntropy(nn.Module):
    """The mean cross entropy of a batch against its labels, each class weighed if asked."""

    weights: torch.Tensor | None

    def __init__(self, settings: Optimisation, corpus: Corpus) -> None:
        super().__init__()
        weights = balanced_weights(corpus.counts) if settings.class_weights else None
        self.register_buffer("weights", None if weights is None else torch.from_numpy(weights))

    def forward(self, model: PreTrainedModel, batch: Batch) -> torch.Tensor:
        """A scalar in float32."""
        answer = model(input_ids=batch.input_ids, attention_mask=batch.attention_mask)
        return self.of(answer.logits, batch)

    def of(self, logits: torch.Tensor, batch: Batch) -> torch.Tensor:
        """The same from logits, [rows, labels]."""
        return functional.cross_entropy(logits.float(), batch.labels, self.weights)


def freeze_words(model: PreTrainedModel) -> None:
    """The word embeddings no longer train."""
    model.get_input_embeddings().requires_grad_(requires_grad=False)
