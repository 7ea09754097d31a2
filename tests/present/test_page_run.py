from __future__ import annotations

import pytest

from edgepipe.present.page_run import notes_views, wires_of
from tests.present.rich import PIPELINE, rich


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


def test_notes_are_told_in_words() -> None:
    note = {
        "a_b": 1234,
        "c": 0.123456,
        "d": {"e": True, "f": {"g": [1, (2, 3)]}, "h": {}},
        "i": None,
    }
    step = rich().steps[2].model_copy(update={"notes": note})
    (found,) = notes_views(rich().model_copy(update={"steps": (step,)}))
    assert found.pairs == (
        ("a_b", "1,234"),
        ("c", "0.1235"),
        ("d", "e yes, f (g (1, (2, 3))), h none"),
        ("i", "none"),
    )


def test_a_list_of_records_is_a_table() -> None:
    rows = [{"node": n, "drop": n / 4} for n in range(70)]
    step = rich().steps[2].model_copy(update={"notes": {"sensitivity": rows}})
    (found,) = notes_views(rich().model_copy(update={"steps": (step,)}))
    ((title, table),) = found.tables
    assert (title, table.columns, len(table.rows)) == ("sensitivity", ("node", "drop"), 60)
    assert [cell.text for cell in table.rows[3]] == ["3", "0.75"]
    assert table.more == "10 more"
