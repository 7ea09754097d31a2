"""Who stands in the comparison: the ways models are made, and the arms that are timed.

A recipe is one way to make something that ships, by the best path that a tool documents. An arm
answers with what a recipe made. One table times its arms side by side in the same rounds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

MAIN = "main"
"""The project's own environment, with everything."""
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
    trained: bool = False
    """A smaller model, trained on the labelled texts; else the checkpoint's own weights."""
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
    of: str = ""
    """A recipe whose result is cut in half for it; empty for the checkpoint."""


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
    blocks: int
    """Of ten single texts, a round."""


@dataclass(frozen=True, kw_only=True)
class Lineup:
    """A whole comparison."""

    recipes: tuple[Recipe, ...]
    trials: tuple[Trial, ...]
    tables: tuple[Table, ...]
    """Accuracy is measured of the first one's arms."""

    def recipe(self, name: str) -> Recipe:
        """The recipe of that name."""
        return next(recipe for recipe in self.recipes if recipe.name == name)

    def models(self) -> list[Model]:
        """In order of appearance."""
        return list(dict.fromkeys(table.model for table in self.tables))

    def recipes_of(self, model: Model) -> list[Recipe]:
        """Those whose results arms of this model answer with, or that those start from."""
        wanted = {arm.recipe for table in self.tables if table.model == model for arm in table.arms}
        wanted |= {self.recipe(name).of for name in wanted}
        return [recipe for recipe in self.recipes if recipe.name in wanted]

    def environments(self) -> list[str]:
        """Those beside the project's own."""
        makers = [recipe.environment for recipe in self.recipes]
        runtimes = [arm.environment for table in self.tables for arm in table.arms]
        tried = [trial.environment for trial in self.trials]
        found = dict.fromkeys((*makers, *runtimes, *tried))
        return [name for name in found if name != MAIN]

    def max_length(self, model: Model) -> int:
        """Tokens that a model's texts are cut to: the most of its tables."""
        return max(table.max_length for table in self.tables if table.model == model)
