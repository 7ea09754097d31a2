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
        return _origins(self.wires)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Draft:
    """A step as far as a file could be read: what is needed to check wires and gates."""

    name: str
    use: str
    stage: type[Stage[Any, Any]] | None
    """None: there is no such stage."""
    wires: Wires | None
    """None: unreadable."""
    settings: Stage[Any, Any] | None = None
    """None: some of them are wrong."""

    def origins(self) -> Iterator[tuple[str, str]]:
        """Every (port, step read from)."""
        return _origins(self.wires or {})


def _origins(wires: Wires) -> Iterator[tuple[str, str]]:
    for port, wire in wires.items():
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


def check(drafts: Sequence[Draft]) -> Iterator[Problem]:
    """Every wrong wire and every circle; silent where a step is too broken to tell."""
    kinds = {draft.name: draft.stage.makes if draft.stage else None for draft in drafts}
    for draft in drafts:
        if draft.stage is not None and draft.wires is not None:
            yield from _check_ports(draft.name, ports(draft.stage), draft.wires)
            yield from _check_wires(draft.name, ports(draft.stage), draft.wires, kinds)
    for circle in _circles({d.name: [o for _, o in d.origins() if o in kinds] for d in drafts}):
        text = f"steps in a circle: {' -> '.join(circle)}"
        yield Problem(("step", circle[0], "from"), text)


def _circles(edges: Mapping[str, Sequence[str]]) -> Iterator[list[str]]:
    """Circles that share no step, until none is left."""
    try:
        graphlib.TopologicalSorter(edges).prepare()
    except graphlib.CycleError as error:
        circle: list[str] = error.args[1]
        yield circle
        rest = edges.keys() - set(circle)
        yield from _circles({n: [o for o in edges[n] if o in rest] for n in edges if n in rest})


def _check_ports(step: str, known: Mapping[str, Port], wires: Wires) -> Iterator[Problem]:
    """Ports left open, and wires to no port or with too many or too few ends."""
    for name, port in known.items():
        if name not in wires and not port.optional:
            yield Problem(("step", step), f"nothing is wired to {name!r}: it takes {port}")
    for name, wire in wires.items():
        at = ("step", step, "from", name)
        if name not in known:
            have = ", ".join(known) or "none"
            yield Problem(at, f"has no input {name!r} (inputs: {have}){near(name, known)}")
        elif known[name].many == isinstance(wire, str):
            yield Problem(at, f"{name!r} takes {known[name]}, got {_written(wire)}")
        elif not wire:
            yield Problem(at, f"{name!r} takes {known[name]}, got none")
        elif len(set(wire)) != len(wire) and known[name].many:
            yield Problem(at, f"{name!r} names a step twice: {_written(wire)}")


def _written(wire: str | tuple[str, ...]) -> str:
    return repr(wire if isinstance(wire, str) else list(wire))


def _check_wires(
    step: str,
    known: Mapping[str, Port],
    wires: Wires,
    kinds: Mapping[str, type[Artifact] | None],
) -> Iterator[Problem]:
    """Wires from no step, or from one that makes something else."""
    for name, origin in _origins(wires):
        at = ("step", step, "from", name)
        if name not in known:
            continue
        if origin not in kinds:
            text = f"{name!r} reads {origin!r}, which is no step{near(origin, kinds)}"
            yield Problem(at, text)
            continue
        made = kinds[origin]
        if made is not None and not issubclass(made, known[name].kinds):
            text = f"{name!r} takes {known[name]}, but {origin!r} makes {made.__name__}"
            yield Problem(at, text)


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
