from __future__ import annotations

import json

import pytest
from jsonschema import Draft202012Validator

from edgepipe.present.result import json_schema, result
from tests.present.judged import NASTY, SPEED, THREE, everything, nasty, report, verdict

SCHEMA = Draft202012Validator(json_schema())


@pytest.mark.parametrize(
    ("verdicts", "word", "code"),
    [
        ([], "no gates", 0),
        ([verdict()], "pass", 0),
        ([verdict(), SPEED], "inconclusive", 5),
        (THREE, "fail", 4),
    ],
)
def test_a_result_fits_its_schema_and_says_how_it_ends(
    verdicts: list, word: str, code: int
) -> None:
    Draft202012Validator.check_schema(json_schema())
    made = json.loads(json.dumps(result(report(verdicts, everything())), allow_nan=False))
    SCHEMA.validate(made)
    assert (made["schema"], made["content"]) == (1, "verdicts")
    assert (made["verdict"], made["exit_code"]) == (word, code)
    assert len(made["verdicts"]) == len(verdicts)
    assert (made["baseline"], made["changes"]) == (None, [])


def test_a_baseline_brings_what_changed() -> None:
    old = report([], everything(), name="before")
    made = result(report(THREE, everything()), old)
    SCHEMA.validate(json.loads(json.dumps(made)))
    assert made["baseline"]["name"] == "before"
    assert made["baseline"]["machine"] == made["report"]["machine"]
    assert {"model", "what", "unit", "before", "after", "why"} == set(made["changes"][0])
    (gate,) = [g for g in made["verdicts"] if g["measure"] == "latency"]
    assert gate["told"].startswith("int8 against teacher: speed-up of single texts 8.60x")
    assert gate["low"] == 6.5


def test_a_comparison_is_no_verdict() -> None:
    made = result(report(THREE, everything()), report(), judged=False)
    assert (made["verdict"], made["exit_code"], made["verdicts"]) == ("not judged", 0, [])
    SCHEMA.validate(json.loads(json.dumps(made)))


@pytest.mark.parametrize("change", [{"schema": 2}, {"verdict": "good"}, {"more": 1}])
def test_the_schema_refuses_what_is_none(change: dict) -> None:
    assert not SCHEMA.is_valid({**json.loads(json.dumps(result(report(THREE)))), **change})


@pytest.mark.parametrize("text", NASTY, ids=range(len(NASTY)))
def test_every_text_is_kept_as_it_is(text: str) -> None:
    made = json.loads(json.dumps(result(nasty(text))))
    SCHEMA.validate(made)
    assert made["verdicts"][0]["of"] == text
