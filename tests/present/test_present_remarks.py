from __future__ import annotations

import numpy as np
import pytest

from edgepipe.measure.records import ValidationReport, packed
from edgepipe.present.remarks import remarks
from tests.pipeline.judging import whole
from tests.pipeline.measured import arm, validation


def test_a_candidate_that_cuts_more_texts_than_the_reference_is_named() -> None:
    found = validation()
    cut = found.candidates[0].model_copy(update={"truncated": 7})
    found = found.model_copy(update={"candidates": (cut,)})
    assert remarks(whole(found)) == ("int8: 7 of 2000 test texts are truncated",)


def guessing(gained: int, lost: int) -> ValidationReport:
    """Of 100 texts 60 are "yes": the reference says so, but for these that it gains and loses."""
    truth = np.repeat([1, 0], [60, 40])
    answers = np.ones(100, np.int64)
    answers[60 : 60 + gained] = 0
    answers[:lost] = 2
    update = {"truth": packed(truth), "reference": arm("teacher", truth, answers)}
    return alone(validation(examples=100)).model_copy(update=update)


def alone(found: ValidationReport) -> ValidationReport:
    """The reference without candidates."""
    return found.model_copy(update={"candidates": (), "comparisons": (), "slices": ()})


@pytest.mark.parametrize(
    ("gained", "lost", "better"),
    [
        (0, 0, False),
        (0, 5, False),
        (4, 0, False),  # one in 2 ** 4 by chance
        (5, 0, True),  # one in 2 ** 5
        (10, 4, False),  # 1471 in 2 ** 14
        (10, 3, True),  # 378 in 2 ** 13
    ],
)
def test_a_reference_no_better_than_the_commonest_label_is_named(
    gained: int, lost: int, *, better: bool
) -> None:
    expected = (
        f"teacher: its accuracy of {60 + gained - lost}.00% on 100 test texts is not provably "
        "better than always answering 'yes', 60.00%: losing nothing against it proves little"
    )
    assert remarks(whole(guessing(gained, lost))) == (() if better else (expected,))


def test_of_a_split_without_texts_nothing_is_said() -> None:
    found = alone(validation())
    reference = found.reference.model_copy(update={"answers": packed([]), "correct": 0})
    nothing = {"examples": 0, "truth": packed([]), "reference": reference}
    assert remarks(whole(found.model_copy(update=nothing))) == ()
