from __future__ import annotations

import graphlib
import random
from dataclasses import dataclass

import pytest

from edgepipe.artifacts import Bundle, Checkpoint, Dataset, OnnxModel
from edgepipe.pipeline.graph import Draft, check, near, order, ports
from edgepipe.stage import Named, Stage
from tests.pipeline import toys


@dataclass(frozen=True, kw_only=True)
class Every:
    one: Dataset
    either: Checkpoint | OnnxModel
    perhaps: Dataset | None = None
    several: Named[OnnxModel]
    mixed: Named[Checkpoint | OnnxModel]


class Takes(Stage[Every, Bundle]):
    inputs = Every
    makes = Bundle

    def run(self, inputs, into, work):
        raise NotImplementedError


@pytest.mark.parametrize(
    ("name", "kinds", "many", "optional", "shown"),
    [
        ("one", (Dataset,), False, False, "Dataset"),
        ("either", (Checkpoint, OnnxModel), False, False, "Checkpoint or OnnxModel"),
        ("perhaps", (Dataset,), False, True, "Dataset"),
        ("several", (OnnxModel,), True, False, "a list of OnnxModel"),
        ("mixed", (Checkpoint, OnnxModel), True, False, "a list of Checkpoint or OnnxModel"),
    ],
)
def test_ports_are_read_off_annotations(name, kinds, many, optional, shown) -> None:
    port = ports(Takes)[name]
    assert (port.kinds, port.many, port.optional) == (kinds, many, optional)
    assert str(port) == shown
    assert list(ports(Takes)) == ["one", "either", "perhaps", "several", "mixed"]


def names(*steps: toys.Step) -> list[str]:
    return [step.name for step in order(steps)]


def test_steps_stay_in_file_order_where_wires_leave_a_choice() -> None:
    steps = [
        toys.step("late", toys.Double(), number="b"),
        toys.step("z", toys.Number()),
        toys.step("b", toys.Number()),
        toys.step("a", toys.Double(), number="z"),
    ]
    assert names(*steps) == ["z", "b", "late", "a"]


def test_every_step_comes_after_what_it_reads_in_any_file_order() -> None:
    steps = [toys.step("n0", toys.Number())]
    for n in range(1, 12):
        parts = tuple(f"n{k}" for k in range(n) if (n * k) % 3 != 1)
        steps.append(toys.step(f"n{n}", toys.Wrap(), parts=parts, note="n0"))
    for seed in range(20):
        random.Random(seed).shuffle(steps)  # noqa: S311
        found = order(steps)
        assert sorted(map(id, found)) == sorted(map(id, steps))
        place = {step.name: n for n, step in enumerate(found)}
        assert all(place[o] < place[s.name] for s in steps for _, o in s.origins())
        assert order(steps) == found


def test_a_circle_has_no_order() -> None:
    with pytest.raises(graphlib.CycleError):
        names(toys.step("a", toys.Double(), number="b"), toys.step("b", toys.Double(), number="a"))


def draft(name: str, stage: type[Stage] | None, **wires: str | tuple[str, ...]) -> Draft:
    return Draft(name=name, use="x", stage=stage, wires=wires)


def told(*drafts: Draft) -> list[str]:
    return [problem.text for problem in check(drafts)]


def test_right_wires_give_no_problem() -> None:
    assert (
        told(
            draft("n", toys.Number),
            draft("d", toys.Double, number="n"),
            draft("w", toys.Wrap, parts=("d", "n")),
            draft("v", toys.Wrap, parts=("d",), note="n"),
        )
        == []
    )


def test_steps_too_broken_to_tell_bring_no_problems_of_others() -> None:
    assert (
        told(
            draft("unknown", None),
            Draft(name="unread", use="x", stage=toys.Double, wires=None),
            draft("d", toys.Double, number="unknown"),
            draft("w", toys.Wrap, parts=("unread",)),
        )
        == []
    )


def test_what_a_broken_step_would_make_is_known_all_the_same() -> None:
    unread = Draft(name="unread", use="x", stage=toys.Double, wires=None)
    assert told(unread, draft("d", toys.Double, number="unread")) == [
        "'number' takes Dataset, but 'unread' makes Checkpoint"
    ]


def test_hints_are_given_for_near_words_only() -> None:
    assert near("tecaher", ["teacher", "student"]) == "; did you mean 'teacher'?"
    assert near("zzz", ["teacher", "student"]) == ""
    assert near("x", []) == ""
