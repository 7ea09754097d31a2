"""A teacher and its data to a smaller student that answers alike."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import PreTrainedConfig, PreTrainedModel

from edgepipe.training.classification import Corpus, CrossEntropy, Splits, Trained, freeze_words
from edgepipe.training.device import moved, training_mode
from edgepipe.training.knowledge import Insides, Wanted, teacher_logits
from edgepipe.training.load import load_model, load_tokenizer, set_dropout
from edgepipe.training.loop import Job, Run, fit
from edgepipe.training.pull import InnerPull, Pull
from edgepipe.training.resume import Store
from edgepipe.training.settings import Distillation
from edgepipe.training.student import chosen_layers, make_student, student_config


def distill(
    teacher_folder: Path, corpus: Corpus, settings: Distillation, max_length: int, run: Run
) -> Trained:
    """A smaller student of the model in ``teacher_folder``, at its best epoch.

    It starts from the teacher's weights and is pulled towards the teacher's logits, the labels and,
    where weighed, the teacher's hidden states and attention maps. Equal arguments give equal
    weights on one machine. Raises StageError and DataError.
    """
    with torch.random.fork_rng(), training_mode(run.device):
        torch.manual_seed(run.seed)
        teacher = moved(load_model(teacher_folder), run.device)
        tokenizer = load_tokenizer(teacher_folder)
        student, layers = _student(teacher, settings)
        splits = Splits.read(corpus, tokenizer, max_length)
        batches = splits.batches(student, settings, run)
        run.progress(0, settings.epochs * batches.per_epoch, "computing the teacher's answers")
        logits = teacher_logits(teacher, batches, Store(run.folder))
        inner = None
        if settings.hidden_weight or settings.attention_weight:
            wanted = _wanted(settings, layers)
            insides = Insides(teacher, batches, wanted, settings.cache_bytes)
            inner = InnerPull(settings, insides, student.config.hidden_size)
        pull = Pull(settings, CrossEntropy(settings, corpus), logits, inner)
        job = Job(
            model=student,
            objective=pull.to(run.device),
            batches=batches,
            score=splits.scorer(settings, len(corpus.labels)),
            settings=settings,
        )
        notes = splits.notes(student, tokenizer, fit(job, run))
    return Trained(model=student, tokenizer=tokenizer, max_length=max_length, notes=notes)


def _student(
    teacher: PreTrainedModel, settings: Distillation
) -> tuple[PreTrainedModel, tuple[int, ...]]:
    """The untrained student, where the teacher is, and the teacher layers it starts from."""
    layers = chosen_layers(settings, teacher.config.num_hidden_layers)
    config = _with_dropout(student_config(teacher.config, settings, layers), settings)
    student = moved(make_student(teacher, config, layers), teacher.device)
    if settings.freeze_embeddings:
        freeze_words(student)
    return student, layers


def _with_dropout(config: PreTrainedConfig, settings: Distillation) -> PreTrainedConfig:
    """Attention maps come out after their dropout, so a student that is to match some has none."""
    if settings.dropout is not None:
        set_dropout(config, settings.dropout)
    if settings.attention_weight:
        for name in ("attention_probs_dropout_prob", "attention_dropout"):
            if hasattr(config, name):
                setattr(config, name, 0.0)
    return config


def _wanted(settings: Distillation, layers: tuple[int, ...]) -> Wanted:
    return Wanted(
        layers=layers,
        hidden=settings.hidden_weight > 0,
        attention=settings.attention_weight > 0,
    )
