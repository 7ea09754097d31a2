"""Which step feeds which: named, typed wires, checked before anything runs."""

from __future__ import annotations

import dataclasses
import difflib
import graphlib
import types
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from edgepipe.artifacts import Artifact
from edgepipe.stage import Stage

Wires = Mapping[str, str | tuple[str, ...]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Port:
    """One input of a stage: the kinds of artifact it takes, and how many."""

    name: str
    kinds: tuple[type[Artifact], ...]
    many: bool
    optional: bool

    def __str__(self) -> str:
        kinds = " or ".join(kind.__name__ for kind in self.kinds)
        return f"a list of {kinds}" if self.many else kinds


@dataclasses.dataclass(frozen=True, kw_only=True)
class Step:
    """A stage under a name, with the names it reads from, by port."""

    name: str
    use: str
    stage: Stage[Any, Any]
    wires: Wires

    def origins(self) -> Iterator[tuple[str, str]]:
        """Every (port, step read from)."""
        for port, wire in self.wires.items():
            for origin in (wire,) if isinstance(wire, str) else wire:
                yield port, origin


class Problem(typing.NamedTuple):
    """One mistake: where it stands (a path of keys) and what is wrong."""

    at: tuple[str | int, ...]
    text: str


def ports(stage: type[Stage[Any, Any]]) -> dict[str, Port]:
    """The input ports of a stage class, read off the annotations of its ``inputs``."""
    return {name: _port(name, hint) for name, hint in typing.get_type_hints(stage.inputs).items()}


def _port(name: str, hint: Any) -> Port:
    many = typing.get_origin(hint) is not None and typing.get_origin(hint) is not types.UnionType
    many = many and typing.get_origin(hint) is not typing.Union
    if many:
        hint = typing.get_args(hint)[1]
    members = typing.get_args(hint) or (hint,)
    return Port(
        name=name,
        kinds=tuple(m for m in members if m is not types.NoneType),
        many=many,
        optional=types.NoneType in members,
    )


def near(word: str, words: Iterable[str]) -> str:
    """``; did you mean 'x'?``, or nothing when no word is close."""
    found = difflib.get_close_matches(word, list(words), n=1)
    return f"; did you mean {found[0]!r}?" if found else ""


def check(
    steps: Sequence[Step], broken: Mapping[str, type[Artifact] | None] | None = None
) -> list[Problem]:
    """Every wrong wire and every circle.

    ``broken`` names steps whose settings are already known to be wrong, with what they would make
    (None: unknown), so that wires to them are not reported a second time.
    """
    kinds: dict[str, type[Artifact] | None] = {s.name: s.stage.makes for s in steps}
    kinds.update(broken or {})
    problems = [p for step in steps for p in check_wires(type(step.stage), step, kinds)]
    try:
        order(steps)
    except graphlib.CycleError as error:
        circle = " -> ".join(error.args[1])
        problems.append(Problem(("step", error.args[1][0], "from"), f"steps in a circle: {circle}"))
    return problems


def check_wires(
    stage: type[Stage[Any, Any]], step: Step, kinds: Mapping[str, type[Artifact] | None]
) -> Iterator[Problem]:
    """What is wrong with the wires of one step, given what every step makes."""
    known = ports(stage)
    for name, port in known.items():
        if name not in step.wires and not port.optional:
            yield Problem(("step", step.name), f"nothing is wired to {name!r}: it takes {port}")
    for name, wire in step.wires.items():
        at = ("step", step.name, "from", name)
        if name not in known:
            have = ", ".join(known) or "none"
            yield Problem(at, f"has no input {name!r} (inputs: {have}){near(name, known)}")
        elif known[name].many == isinstance(wire, str):
            yield Problem(at, f"{name!r} takes {known[name]}, got {wire!r}")
    for name, origin in step.origins():
        if name in known:
            yield from _check_wire(step, known[name], origin, kinds)


def _check_wire(
    step: Step, port: Port, origin: str, kinds: Mapping[str, type[Artifact] | None]
) -> Iterator[Problem]:
    at = ("step", step.name, "from", port.name)
    if origin not in kinds:
        yield Problem(at, f"{port.name!r} reads {origin!r}, which is no step{near(origin, kinds)}")
        return
    made = kinds[origin]
    if made is not None and not issubclass(made, port.kinds):
        yield Problem(at, f"{port.name!r} takes {port}, but {origin!r} makes {made.__name__}")


def order(steps: Sequence[Step]) -> list[Step]:
    """Steps such that each comes after what it reads; file order where that leaves a choice.

    Raises graphlib.CycleError.
    """
    by_name = {step.name: step for step in steps}
    sorter = graphlib.TopologicalSorter(
        {s.name: [o for _, o in s.origins() if o in by_name] for s in steps}
    )
    sorter.prepare()
    done: list[Step] = []
    ready: set[str] = set()
    while sorter.is_active():
        ready.update(sorter.get_ready())
        first = next(s for s in steps if s.name in ready)
        ready.remove(first.name)
        sorter.done(first.name)
        done.append(first)
    return done
