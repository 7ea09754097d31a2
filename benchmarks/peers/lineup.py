"""Who stands in the comparison: the ways models are made, and the arms that are timed.

A recipe is one way to make something that ships, by the best path that a tool documents. An arm
answers with what a recipe made. One table times its arms side by side in the same rounds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Model = Literal["movie-reviews", "bert-base", "small"]
"""The fine-tuned MiniLM-L6; BERT-base; 4 layers x 312, the last two with random weights."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One way to make what ships from a checkpoint."""

    name: str
    tool: str
    """A file in ``tools/``."""
    how: str
    """A key of its ``MAKERS``; empty where the checkpoint itself ships."""
    environment: str
    """A file in ``environments/``, or ``main`` for the project's own."""
    precision: Literal["fp32", "int8"]
    call: str
    """What a user types, for the page: a command or the library's call."""
    of: str = ""
    """Another recipe, whose result this one starts from; empty for the checkpoint."""


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One row of a table: a recipe's result behind a runtime."""

    name: str
    recipe: str
    tool: str
    """A file in ``tools/``: the runtime."""
    load: str
    """A key of its ``LOADERS``."""
    environment: str
    file: str = ""
    """The ONNX file below what the recipe made, where the runtime does not find it by itself."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """Something wrong, to see how a tool ends."""

    tool: str
    environment: str
    what: Literal["corrupt checkpoint", "corrupt ONNX file", "misspelt option"]
    how: str
    """A key of ``MAKERS``: the tool's main path, or the same with a misspelt option."""
    call: str


@dataclass(frozen=True, kw_only=True)
class Table:
    """Arms that are timed side by side; the first is the reference."""

    name: str
    title: str
    model: Model
    arms: tuple[Arm, ...]
    texts: Literal["natural", "joined"] = "natural"
    """Sentences as they are, or one to eight of them joined."""
    max_length: int
    rounds: int
    batch: int
    """Texts that one throughput call answers: other ones in every round."""
