"""One comparison from the first environment to the last clock, each part kept when it is done."""

from __future__ import annotations

import hashlib
import itertools
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.peers import environments, processes
from benchmarks.peers.accuracy import accuracy
from benchmarks.peers.clocks import Say, clocks
from benchmarks.peers.environments import Built
from benchmarks.peers.lines import lines_of
from benchmarks.peers.lineup import MAIN, Arm, Lineup, Recipe, Table, Trial
from benchmarks.peers.records import Accuracy, Answering, Clocks, Crash, Ending, Environment, Made
from benchmarks.peers.texts import joined, label_names, lengths, natural, rows
from benchmarks.peers.tool import Job
from benchmarks.peers.work import Work
from edgepipe import disk
from edgepipe.errors import StageError
from edgepipe.measure.child import Arm as Worker

TOOLS = Path(__file__).parent / "tools"
_TRIED = 64
"""Texts that an arm answers once before it is timed, where its accuracy is not asked for."""
_ALIKE = 0.8
"""Of the labels: int8 changes some, and a wrong tokenizer or truncation many more."""


@dataclass(frozen=True, kw_only=True)
class Data:
    """Files of texts and labels."""

    train: Path
    test: Path


@dataclass
class Comparison:
    """Everything that one run needs; its methods leave records in ``work``."""

    lineup: Lineup
    work: Work
    data: Data
    checkpoints: dict[str, Path]
    """By model."""
    environments: Path
    seed: int
    say: Say
    built: dict[str, Built] = field(default_factory=dict)

    def build(self) -> tuple[Environment, ...]:
        """Every environment of the lineup can be asked, or says why it could not be built."""
        self.built[MAIN] = environments.main_environment()
        for name in self.lineup.environments():
            self.say(f"environment {name}")
            self.built[name] = environments.build(name, self.environments)
            self.work.tick()
        return tuple(built.record for name, built in self.built.items() if name != MAIN)

    def make(self) -> tuple[Made, ...]:
        """Every recipe of every model that a table needs has been tried."""
        return tuple(
            self._made(recipe, model).model_copy(update={"lines": _lines(recipe)})
            for model in self.lineup.models()
            for recipe in self.lineup.recipes_of(model)
        )

    def accuracy(self, table: Table) -> tuple[tuple[Accuracy, ...], tuple[Crash, ...]]:
        """How every arm of a table answers the test split; those that cannot are told too."""
        truth = rows(self.data.test)
        texts = [text for text, _ in truth]
        names = label_names([label for _, label in truth], self.checkpoints[table.model])
        asked = [self._tried(table, arm, texts) for arm in table.arms]
        crashes = [crash for crash in asked if isinstance(crash, Crash)]
        answered = zip(table.arms, asked, strict=True)
        found = {arm.name: told for arm, told in answered if not isinstance(told, Crash)}
        reference = found.get(table.arms[0].name)
        if reference is None:
            raise StageError(f"{crashes[0].arm}, the reference, does not answer: {crashes[0].why}")
        return tuple(accuracy(n, found[n], names, reference) for n in found), tuple(crashes)

    def endings(self) -> tuple[Ending, ...]:
        """How every tool that could be tried ended when something was wrong."""
        found = [self._ending(trial) for trial in self.lineup.trials]
        return tuple(ending for ending in found if ending)

    def clocks(self, table: Table, broken: Sequence[Crash] = ()) -> Clocks:
        """Times of a table's arms, but of those that are known to be broken or prove so."""
        kept = self.work.kept(f"clocks/{table.name}", Clocks)
        if kept:
            return kept
        singles, batches = self.texts(table)
        crashes = list(broken)
        workers: list[Worker] = []
        reference: list[str] = []
        for arm in table.arms:
            if any(crash.arm == arm.name for crash in broken):
                continue
            try:
                # what it answered to the test split, or answers now to some of its texts
                labels = self._answers(table, arm, singles[:_TRIED])
                reference = reference or labels
                _require_alike(labels, reference)
                workers.append(self._worker(table, arm))
            except StageError as error:
                crashes.append(Crash(arm=arm.name, why=str(error), command=self._typed(arm)))
        if not workers or workers[0].name != table.arms[0].name:
            raise StageError(f"{table.arms[0].name}, the reference of {table.name}, does not work")
        found = clocks(
            table.name,
            workers,
            singles,
            batches,
            self.work,
            blocks=table.blocks,
            seed=self.seed,
            say=self.say,
        )
        typed = {arm.name: self._typed(arm) for arm in table.arms}
        crashes += [c.model_copy(update={"command": typed[c.arm]}) for c in found.crashes]
        found = found.model_copy(update={"crashes": tuple(crashes)})
        self.work.keep(f"clocks/{table.name}", found)
        return found

    def answering(self) -> tuple[Answering, ...]:
        """Lines that a user writes to ask each arm."""
        arms = {arm.name: arm for table in self.lineup.tables for arm in table.arms}
        return tuple(
            Answering(arm=arm.name, lines=lines_of(TOOLS / f"{arm.tool}.py", "LOADERS", arm.load))
            for arm in arms.values()
        )

    def texts(self, table: Table) -> tuple[list[str], list[list[str]]]:
        """Single texts, and a batch for every round."""
        train = [text for text, _ in rows(self.data.train)]
        test = [text for text, _ in rows(self.data.test)]
        draw = natural if table.texts == "natural" else joined
        count = table.rounds * table.batch
        many = list(itertools.islice(itertools.cycle(draw(train, count, seed=self.seed)), count))
        parts = [many[n : n + table.batch] for n in range(0, count, table.batch)]
        return draw(test, len(test), seed=self.seed), parts

    def about_texts(self, table: Table) -> str:
        """A line on what a table's arms answered."""
        singles, parts = self.texts(table)
        checkpoint = self.checkpoints[table.model]
        told = [
            lengths(part, checkpoint, table.max_length)
            for part in (singles, [*itertools.chain(*parts)])
        ]
        digest = hashlib.sha256(json.dumps([singles, parts]).encode()).hexdigest()[:16]
        return f"one by one: {told[0]}; at once, in {len(parts)} parts: {told[1]} ({digest})"

    def _made(self, recipe: Recipe, model: str) -> Made:
        name = f"made/{model}/{recipe.name}"
        kept = self.work.kept(name, Made)
        if kept:
            return kept
        self.say(f"{model}: {recipe.name}")
        made = self._try(recipe, model)
        if not self.built[recipe.environment].record.failed:  # the next run tries to build it again
            self.work.keep(name, made)
        return made

    def _try(self, recipe: Recipe, model: str) -> Made:
        built = self.built[recipe.environment]
        nothing = Made(
            recipe=recipe.name,
            model=model,
            call=recipe.call,
            exit_code=1,
            seconds=0.0,
            bytes=0,
            lines=_lines(recipe),
            said=_unbuilt(built),
        )
        if built.record.failed:
            return nothing
        if not recipe.how:
            size = disk.size(self.checkpoints[model])
            return nothing.model_copy(update={"exit_code": 0, "bytes": size})
        try:
            job = self._job(recipe, model, self._folder(recipe.name, model))
        except StageError as error:
            return nothing.model_copy(update={"said": str(error)})
        return processes.make(recipe, model, built, job, _lines(recipe))

    def _job(self, recipe: Recipe, model: str, out: Path) -> Job:
        source = self.checkpoints[model]
        if recipe.of:
            self._require(recipe.of, model)
            source = self._folder(recipe.of, model)
        return Job(source, out, self.data.train, self.lineup.max_length(model))

    def _folder(self, recipe: str, model: str) -> Path:
        return self.work.path(f"made/{model}/{recipe}")

    def _require(self, recipe: str, model: str) -> Made:
        """What a recipe made; StageError when it made nothing."""
        made = self._made(self.lineup.recipe(recipe), model)
        if made.said:
            raise StageError(f"{recipe} made nothing: {made.said}")
        return made

    def _tried(self, table: Table, arm: Arm, texts: Sequence[str]) -> list[str] | Crash:
        try:
            return self._answers(table, arm, texts)
        except StageError as error:
            return Crash(arm=arm.name, why=str(error), command=self._typed(arm))

    def _answers(self, table: Table, arm: Arm, texts: Sequence[str]) -> list[str]:
        kept = f"answers/{table.name}/{arm.name}"
        known = self.work.lines(kept)
        if not known:
            self.say(f"{table.name}: {arm.name} answers {len(texts)} texts")
            options = self._options(table, arm)
            found = processes.answers(arm, self.built[arm.environment], options, texts)
            self.work.append(kept, {"labels": found})
            return found
        labels: list[str] = known[0]["labels"]
        return labels

    def _worker(self, table: Table, arm: Arm) -> Worker:
        """The arm as it is timed."""
        options = self._options(table, arm)
        ships = self._require(arm.recipe, table.model).bytes
        return processes.worker(arm, self.built[arm.environment], options, ships)

    def _options(self, table: Table, arm: Arm) -> dict[str, str | int | Path]:
        if self.built[arm.environment].record.failed:
            raise StageError(_unbuilt(self.built[arm.environment]))
        self._require(arm.recipe, table.model)
        recipe = self.lineup.recipe(arm.recipe)
        folder = self._folder(recipe.name, table.model)
        made = folder if recipe.how else self.checkpoints[table.model]
        return {"made": made, "file": arm.file, "threads": 1, "max_length": table.max_length}

    def _ending(self, trial: Trial) -> Ending | None:
        name = f"endings/{trial.tool} {trial.what}"
        kept = self.work.kept(name, Ending)
        built = self.built[trial.environment]
        if kept or built.record.failed:
            return kept
        self.say(f"{trial.tool}: {trial.what}")
        model = self.lineup.models()[0]
        source = self.checkpoints[model]
        if trial.of:
            try:
                self._require(trial.of, model)
            except StageError:
                return None
            source = self._folder(trial.of, model)
        with tempfile.TemporaryDirectory(dir=self.work.folder) as folder:
            scratch = Path(folder)
            if trial.what != "misspelt option":
                source = processes.corrupted(source, scratch / "source")
            length = self.lineup.max_length(model)
            job = Job(source, scratch / "out", self.data.train, length)
            found = processes.ending(trial, built, job)
        self.work.keep(name, found)
        return found

    def _typed(self, arm: Arm) -> str:
        return self.lineup.recipe(arm.recipe).call


def _lines(recipe: Recipe) -> int:
    return lines_of(TOOLS / f"{recipe.tool}.py", "MAKERS", recipe.how) if recipe.how else 0


def _unbuilt(built: Built) -> str:
    failed = built.record.failed
    return f"the environment {built.record.name} could not be built: {failed}" if failed else ""


def _require_alike(labels: Sequence[str], reference: Sequence[str]) -> None:
    """Labels of the same model, give or take its precision; StageError where they are not."""
    same = sum(one == other for one, other in zip(labels, reference, strict=True))
    if same < _ALIKE * len(labels):
        raise StageError(f"only {same} of {len(labels)} answers are those of the reference")
