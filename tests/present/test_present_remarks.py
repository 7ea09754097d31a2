from __future__ import annotations

from edgepipe.present.remarks import remarks
from tests.pipeline.judging import whole
from tests.pipeline.measured import validation


def test_a_candidate_that_cuts_more_texts_than_the_reference_is_named() -> None:
    found = validation()
    cut = found.candidates[0].model_copy(update={"truncated": 7})
    found = found.model_copy(update={"candidates": (cut,)})
    assert remarks(whole(found)) == ("int8: 7 of 2000 test texts are truncated",)
