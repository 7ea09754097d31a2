from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from edgepipe.config import json_schema
from edgepipe.stages import STAGES, stage_class
from tests.config.files import WHOLE, changed

PIPELINES = Path(__file__).parents[2] / "pipelines"


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    schema = json.loads(json.dumps(json_schema()))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


@pytest.mark.parametrize("file", sorted(PIPELINES.glob("*.toml")), ids=lambda file: file.stem)
def test_the_pipelines_that_are_shipped_fit(validator: Draft202012Validator, file: Path) -> None:
    assert not list(validator.iter_errors(tomllib.loads(file.read_text())))


def test_a_whole_file_fits(validator: Draft202012Validator) -> None:
    assert not list(validator.iter_errors(tomllib.loads(WHOLE)))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('name = "reviews"', 'name = "my reviews"'),
        ('name = "reviews"', 'name = "cache"'),
        ('name = "reviews"\n', ""),
        ("[step.bundle]", '[step."my bundle"]'),
        ('task = "text-classification"', 'task = "translation"'),
        ("seed = 3", "sed = 3"),
        ("seed = 3", "seed = -1"),
        ('use = "train"', 'use = "trian"'),
        ('train = "train.csv"\n', ""),
        ('use = "export"', 'use = "export"\nopset = "20"'),
        ('use = "export"', 'use = "export"\nopste = 20'),
        ('from = { model = "fp32" }', ""),
        ('from = { model = "fp32" }', 'from = { model = ["fp32"] }'),
        ('from = { model = "fp32" }', 'from = { modle = "fp32" }'),
        ('variants = ["int8", "fp32"]', 'variants = "int8"'),
        ('variants = ["int8", "fp32"]', "variants = []"),
        ("max_drop = 0.02", "max_drop = 2"),
        ('measure = "latency"', 'measure = "latancy"'),
    ],
)
def test_a_broken_file_does_not(validator: Draft202012Validator, old: str, new: str) -> None:
    assert list(validator.iter_errors(tomllib.loads(changed((old, new)))))


def test_no_two_stages_mean_different_things_by_one_definition() -> None:
    seen: dict[str, object] = {}
    for use in STAGES:
        for name, definition in stage_class(use).model_json_schema().get("$defs", {}).items():
            assert seen.setdefault(name, definition) == definition, name
