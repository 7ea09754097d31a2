"""Settings that every training stage shares; importing this costs nothing heavy."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Metric = Literal["accuracy", "macro_f1"]
Precision = Literal["auto", "fp32", "bf16"]
Share = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]
Weight = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]


class Optimisation(BaseModel):
    """How weights are moved: AdamW (Loshchilov and Hutter 2019), warm-up, then linear decay."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True
    )

    epochs: Count = 3
    learning_rate: Positive = 5e-5
    """Its highest value, reached when the warm-up ends."""
    batch_size: Count = 32
    warmup_ratio: Share = 0.06
    """Share of all steps over which the learning rate rises from 0."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    """Decoupled; matrices only: neither biases nor normalisation."""
    dropout: Share | None = None
    """Every dropout of the architecture; None leaves each as the model has it."""
    max_grad_norm: Positive = 1.0
    patience: Count | None = None
    """Stop after this many epochs without a better validation metric; None runs all epochs."""
    metric: Metric = "accuracy"
    """On the validation split; the epoch with the best is kept, the earliest among equals."""
    class_weights: bool = False
    """Weigh a class by rows / (classes x rows of the class), so that rare ones count as much."""
    precision: Precision = "auto"
    """``auto``: bfloat16 autocast on a CPU with AMX or a GPU with bfloat16, else float32."""
    freeze_embeddings: bool = False
    """Leave the word embeddings as they are: they are many, and steps get faster."""


class FineTuning(Optimisation):
    """A base model, towards labels."""

    max_length: Annotated[int, Field(ge=8)] | Literal["auto"] = "auto"
    """Tokens; ``auto``: the smallest multiple of 8 that holds 99.5 % of the training texts whole,
    as far as the model goes."""


class Distillation(Optimisation):
    """A smaller student, towards a teacher's answers."""

    layers: Count
    hidden_size: Count | None = None
    intermediate_size: Count | None = None
    heads: Count | None = None
    """None keeps the teacher's, or its head size where the width changes."""
    from_layers: tuple[Annotated[int, Field(ge=0)], ...] | Literal["spaced"] = "spaced"
    """The teacher's layers that the student starts from, counted from 0; ``spaced``: the first, the
    last, and evenly between."""
    temperature: Positive = 2.0
    logit_weight: Weight = 0.7
    label_weight: Weight = 0.3
    hidden_weight: Weight = 0.0
    attention_weight: Weight = 0.0
    cache_bytes: Annotated[int, Field(ge=0)] = 512 << 20
    """Memory for the teacher's hidden states and attention maps; what is beyond is recomputed."""
    epochs: Count = 2
    learning_rate: Positive = 1e-4
    freeze_embeddings: bool = True


class TokenizerTable(BaseModel):
    """A tokenizer trained on the training split."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True
    )

    kind: Literal["wordpiece", "bpe"] = "wordpiece"
    vocab_size: Annotated[int, Field(ge=300)] = 8000
    """At most; small data yields less. Byte-level BPE starts from 256 symbols."""
    lowercase: bool = True


class ModelTable(BaseModel):
    """A model from scratch: ``model_type`` and any settings of that transformers config."""

    model_config = ConfigDict(
        frozen=True, extra="allow", strict=True, use_attribute_docstrings=True
    )

    model_type: str
    tokenizer: TokenizerTable = TokenizerTable()
