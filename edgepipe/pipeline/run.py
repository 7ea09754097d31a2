"""Run the steps of a pipeline in order, reusing what is already made."""

from __future__ import annotations

import enum
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edgepipe import disk
from edgepipe.artifacts import Artifact
from edgepipe.errors import DiskError, EdgepipeError, StageError
from edgepipe.measure.records import PLAIN
from edgepipe.pipeline.cache import Cache, History
from edgepipe.pipeline.definition import Pipeline
from edgepipe.pipeline.gate import Gate, LatencyGate
from edgepipe.pipeline.graph import Port, Step, order, ports
from edgepipe.pipeline.key import Inputs, Key, changes, key_of
from edgepipe.stage import Asked, Work


class Outcome(enum.Enum):
    """How a step ended, or how it would."""

    RAN = "ran"
    """It was made in this run."""
    REUSED = "reused"
    """The cache held the result of exactly this key."""


@dataclass(frozen=True, kw_only=True)
class StepResult:
    """One step of a finished run."""

    step: Step
    outcome: Outcome
    why: tuple[str, ...]
    """Which parts of the key changed, or that there was nothing to reuse."""
    seconds: float
    artifact: Artifact
    key: Key


@dataclass(frozen=True, kw_only=True)
class Planned:
    """What a run would do with one step."""

    name: str
    use: str
    action: str
    """``reuse``, ``run``, or ``depends`` when that hangs on what an earlier step will make."""
    why: tuple[str, ...]


def _ignore(*_: object) -> None:
    """Nobody listens."""


@dataclass(frozen=True, kw_only=True)
class Listener:
    """Callbacks for whoever shows progress; all optional."""

    started: Callable[[Step, Sequence[str]], None] = _ignore
    progress: Callable[[int, int, str], None] = _ignore
    ended: Callable[[StepResult], None] = _ignore
    waiting: Callable[[str], None] = _ignore
    """For another process, and what that one is doing."""


@dataclass(frozen=True, kw_only=True)
class Runner:
    """One pipeline under one root: the cache in ``root/cache``, the rest in ``root/NAME``."""

    pipeline: Pipeline
    root: Path
    listener: Listener = Listener()

    @property
    def home(self) -> Path:
        """Where this pipeline leaves bundle, report and state."""
        return self.root / self.pipeline.name

    @property
    def cache(self) -> Cache:
        """Finished steps, shared by all pipelines under the root."""
        return Cache(self.root / "cache")

    @property
    def history(self) -> History:
        """The keys of the last run."""
        return History(self.home / "state.json")

    def plan(self) -> list[Planned]:
        """What ``execute`` would reuse and run, and why; nothing is run or written."""
        made: dict[str, Artifact] = {}
        return [self._plan(step, made) for step in order(self.pipeline.steps)]

    def _plan(self, step: Step, made: dict[str, Artifact]) -> Planned:
        waits = dict.fromkeys(origin for _, origin in step.origins() if origin not in made)
        if waits:
            why = (f"on {', '.join(waits)}",)
            return Planned(name=step.name, use=step.use, action="depends", why=why)
        key = self._key(step, bind(step, made))
        artifact = self._find(step, key)
        if artifact is not None:
            made[step.name] = artifact
            return Planned(name=step.name, use=step.use, action="reuse", why=())
        return Planned(name=step.name, use=step.use, action="run", why=self._why(step, key))

    def execute(self) -> Iterator[StepResult]:
        """Run step by step. A failure ends the run, caches nothing and loses nothing."""
        made: dict[str, Artifact] = {}
        for step in order(self.pipeline.steps):
            inputs = bind(step, made)
            key = self._key(step, inputs)
            result = self._reuse(step, key) or self._make(step, inputs, key)
            self.history.record(step.name, key)
            made[step.name] = result.artifact
            self.listener.ended(result)
            yield result

    def _key(self, step: Step, inputs: Inputs) -> Key:
        return key_of(step, inputs, self.pipeline.run, self.pipeline.name)

    def _find(self, step: Step, key: Key) -> Artifact | None:
        return self.cache.find(step.stage.makes, key) if step.stage.cached else None

    def _reuse(self, step: Step, key: Key) -> StepResult | None:
        found = self._find(step, key)
        if found is None:
            return None
        return StepResult(
            step=step, outcome=Outcome.REUSED, why=(), seconds=0.0, artifact=found, key=key
        )

    def _make(self, step: Step, inputs: Inputs, key: Key) -> StepResult:
        why = self._why(step, key)
        self.listener.started(step, why)
        begun = time.perf_counter()
        busy = f"makes the result of {step.name!r}"
        with self.cache.making(key, lambda: self.listener.waiting(busy)) as (into, path):
            made = self._call(step, inputs, into, path)
            kept = self.cache.commit(made, key) if step.stage.cached else self._keep(step, made)
        return StepResult(
            step=step,
            outcome=Outcome.RAN,
            why=why,
            seconds=time.perf_counter() - begun,
            artifact=kept,
            key=key,
        )

    def _call(self, step: Step, inputs: Inputs, into: Path, path: Path) -> Artifact:
        run = self.pipeline.run
        work = Work(
            path=path,
            name=self.pipeline.name,
            seed=run.seed,
            device=run.device,
            threads=run.threads,
            asked=asked(self.pipeline.gates, str(step.wires.get("reference", "")), timed(step)),
            progress=self.listener.progress,
        )
        with _named(step):
            made: Artifact = step.stage(step.stage.inputs(**inputs), into, work)
            return made

    def _keep(self, step: Step, made: Artifact) -> Artifact:
        """What is measured anew in every run lies beside the report, not in the cache."""
        place = self.home / "measured" / step.name
        disk.replace_folder(made.path, place)
        return type(made).read(place)

    def _why(self, step: Step, key: Key) -> tuple[str, ...]:
        if not step.stage.cached:
            return ("measured anew in every run",)
        before = self.history.read().get(step.name)
        if before is None:
            return ("never run",)
        return tuple(changes(before, key)) or ("its cache entry is gone or damaged",)


def timed(step: Step) -> frozenset[str]:
    """The names that the step's report may give its candidates."""
    names = [origin for port, origin in step.origins() if port == "candidates"]
    plain = getattr(step.stage, "plain", False)
    return frozenset(names + [name + PLAIN for name in names if plain])


def asked(gates: Iterable[Gate], reference: str, of: Collection[str]) -> tuple[Asked, ...]:
    """The limits of the latency gates of these models against ``reference``: how long to measure.

    A limit of a model that the step does not time is another step's.
    """
    return tuple(
        Asked(gate.of, gate.limit, gate.confidence)
        for gate in gates
        if isinstance(gate, LatencyGate) and gate.against == reference and gate.of in of
    )


def bind(step: Step, made: Mapping[str, Artifact]) -> Inputs:
    """Artifacts by port: one, several by step name, or None for an optional port left open."""
    return {
        name: _bound(port, step.wires.get(name), made)
        for name, port in ports(type(step.stage)).items()
    }


def _bound(
    port: Port, wire: str | tuple[str, ...] | None, made: Mapping[str, Artifact]
) -> Artifact | Mapping[str, Artifact] | None:
    if wire is None:
        return {} if port.many else None
    if isinstance(wire, str):
        return made[wire]
    return {origin: made[origin] for origin in wire}


@contextmanager
def _named(step: Step) -> Iterator[None]:
    """Say which step failed, and turn a third party's words for a full disk into a DiskError."""
    try:
        yield
    except EdgepipeError as error:
        error.args = (f"step {step.name!r}: {error}", *error.args[1:])
        raise
    except BrokenPipeError as error:  # the command line takes one for its own reader's
        raise StageError(f"step {step.name!r}: a process that it started has gone") from error
    except Exception as error:
        if "No space left" in str(error) or "os error 28" in str(error):
            message = f"step {step.name!r}: no space left on the disk; free some and run again"
            raise DiskError(message) from error
        raise
