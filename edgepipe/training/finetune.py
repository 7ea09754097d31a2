"""A base model, or a config table, to a classifier."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from edgepipe.training.classification import Corpus, CrossEntropy, Splits, Trained, freeze_words
from edgepipe.training.data import checked_length, fitting_length, read_texts
from edgepipe.training.device import moved, training_mode
from edgepipe.training.fresh import fresh_config, train_tokenizer
from edgepipe.training.load import (
    build_model,
    label,
    length_limit,
    load_config,
    load_model,
    load_tokenizer,
    set_dropout,
)
from edgepipe.training.loop import Job, Run, fit
from edgepipe.training.settings import FineTuning, ModelTable


def finetune(base: Path | ModelTable, corpus: Corpus, settings: FineTuning, run: Run) -> Trained:
    """The base model trained on the corpus, at its best epoch.

    A head that is missing, or made for another number of labels, starts from random weights. Equal
    arguments give equal weights on one machine. Raises StageError and DataError.
    """
    with torch.random.fork_rng(), training_mode(run.device):
        torch.manual_seed(run.seed)
        model, tokenizer = _start(base, corpus, settings)
        max_length = _max_length(model, tokenizer, corpus, settings)
        splits = Splits.read(corpus, tokenizer, max_length)
        if settings.freeze_embeddings:
            freeze_words(model)
        job = Job(
            model=moved(model, run.device),
            objective=CrossEntropy(settings, corpus).to(run.device),
            batches=splits.batches(model, settings, run),
            score=splits.scorer(settings, len(corpus.labels)),
            settings=settings,
        )
        outcome = fit(job, run)
        notes = splits.notes(model, tokenizer, outcome)
    return Trained(model=model, tokenizer=tokenizer, max_length=max_length, notes=notes)


def _start(
    base: Path | ModelTable, corpus: Corpus, settings: FineTuning
) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """Eager attention: with dropout, torch's sdpa on a CPU computes the same and takes as long."""
    if isinstance(base, Path):
        tokenizer = load_tokenizer(base)
        config = label(load_config(base), corpus.labels)
    else:
        tokenizer = train_tokenizer(lambda: read_texts(corpus.train), base.tokenizer)
        config = fresh_config(base, tokenizer, corpus.labels)
    if settings.dropout is not None:
        set_dropout(config, settings.dropout)
    if isinstance(base, Path):
        return load_model(base, config=config, fresh_head=True), tokenizer
    return build_model(config), tokenizer


def _max_length(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    corpus: Corpus,
    settings: FineTuning,
) -> int:
    limit = length_limit(model, tokenizer)
    if settings.max_length != "auto":
        return checked_length(settings.max_length, limit)
    return fitting_length(corpus.train, tokenizer.backend_tokenizer, limit)
