from __future__ import annotations

import pytest

from edgepipe.present.page_run import wires_of
from tests.present.rich import PIPELINE


def test_wires_are_read_from_the_pipeline_file() -> None:
    assert wires_of(PIPELINE) == {
        "reviews": (),
        "teacher": ("reviews",),
        "int8": ("teacher", "reviews"),
        "accuracy": ("teacher", "int8", "reviews"),
    }


@pytest.mark.parametrize(
    "text",
    [
        "", "= nothing", "step = 3", "[step]\na = 1", "[step.a]\nfrom = 3", "\x00",
        "[step.a]\nfrom = { x = 3, y = [1, [2]] }", "a = " + "[" * 5000,
    ],
    ids=["empty", "no toml", "number", "no table", "from", "nul", "no names", "deep"],
)  # fmt: skip
def test_what_cannot_be_read_has_no_wires(text: str) -> None:
    assert not any(wires_of(text).values())
