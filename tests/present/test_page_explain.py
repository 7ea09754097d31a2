from __future__ import annotations

from edgepipe.measure.records import ExplainedText, Explanation, Flip
from edgepipe.present.page_explain import explain_view, flip_views
from tests.pipeline.measured import estimate, validation


def test_words_are_shaded_by_their_share_of_the_weightiest() -> None:
    text = ExplainedText(
        text="a b c d e", words=("a", "b", "c", "d", "e"),
        reference=(2.0, -1.0, 0.19, 0.0, -2.0), candidate=(0.0,) * 5, rank_agreement=0.25,
    )  # fmt: skip
    found = Explanation(
        method="occlusion", texts=9, rank_agreement=estimate(0.5), same_top_word=0.5,
        examples=(text,),
    )  # fmt: skip
    (shown,) = explain_view(found).texts
    assert [w.shade for w in shown.reference] == ["for5", "against2", "", "", "against5"]
    assert [w.weight for w in shown.reference] == ["+2.00", "-1.00", "+0.19", "0.00", "-2.00"]
    assert {w.shade for w in shown.candidate} == {""}


def test_a_flip_says_whether_it_broke_or_mended() -> None:
    flip = Flip(
        row=1, text="t", label="yes", reference="yes", candidate="no", reference_confidence=0.9,
        candidate_confidence=0.6,
    )  # fmt: skip
    kinds = (flip, flip.model_copy(update={"label": "no"}), flip.model_copy(update={"label": "x"}))
    compared = validation(1, 0, 10).comparisons[0].model_copy(update={"flips": kinds})
    assert [f.outcome for f in flip_views(compared)] == ["broken", "mended", "still wrong"]
    assert [f.reference_sure for f in flip_views(compared)] == ["90%"] * 3
