import io
import json

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline

from edgepipe.errors import DeviceError, StageError
from edgepipe.training import device
from edgepipe.training.predict import logits
from edgepipe.training.save import save_checkpoint
from edgepipe.training.worker_torch import load
from edgepipe.worker import serve
from tests.convert.families import FAMILIES, build
from tests.training.toy_reviews import rows, tokenizer

TEXTS = [text for text, _ in rows(70)]


def _saved(folder, family="bert"):
    folder.mkdir()
    model = build(family)
    save_checkpoint(model, tokenizer(), folder, 10)
    return folder


@pytest.mark.parametrize("family", FAMILIES)
def test_answers_are_those_of_transformers_one_by_one(tmp_path, family):
    folder = _saved(tmp_path / "model", family)
    model = AutoModelForSequenceClassification.from_pretrained(folder, attn_implementation="eager")
    reader = AutoTokenizer.from_pretrained(folder)
    with torch.no_grad():
        expected = [
            model(**reader(text, truncation=True, max_length=10, return_tensors="pt",
                           return_token_type_ids=False)).logits[0].numpy()
            for text in TEXTS
        ]  # fmt: skip
    got = logits(folder, TEXTS, max_length=10)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, expected, atol=2e-5)
    assert np.ptp(got, axis=0).max() > 0.01  # the texts are told apart


def test_no_texts_give_no_answers(tmp_path):
    assert logits(_saved(tmp_path / "model"), [], max_length=10).shape == (0, 2)


def test_an_absent_device_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DeviceError, match="sees no NVIDIA GPU"):
        logits(tmp_path, TEXTS, max_length=10, device="cuda")


def test_the_benchmark_worker_answers_as_a_pipeline_does(tmp_path):
    folder = _saved(tmp_path / "model", "distilbert")
    answerer = load(folder, max_length=10, threads=1, device="cpu", attention="eager")
    classify = pipeline("text-classification", model=str(folder), device="cpu")
    names = [a["label"] for a in classify(TEXTS, truncation=True, max_length=10)]
    expected = [classify.model.config.label2id[name] for name in names]
    assert answerer.many(TEXTS) == expected
    assert [answerer.one(text) for text in TEXTS] == expected
    assert len(set(expected)) > 1


def test_the_benchmark_worker_speaks_the_protocol(tmp_path):
    folder = _saved(tmp_path / "model")
    commands = [
        {"do": "load"},
        {"do": "block", "texts": TEXTS[:3], "drop": 1},
        {"do": "many", "texts": TEXTS},
        {"do": "stop"},
    ]
    answers = io.StringIO()
    code = serve(
        lambda: load(folder, max_length=10, threads=1, device="cpu", attention="eager"),
        stdin=io.StringIO("".join(json.dumps(command) + "\n" for command in commands)),
        stdout=answers,
    )
    told = [json.loads(line) for line in answers.getvalue().splitlines()]
    assert code == 0
    assert len(told[1]["wall_ns"]) == 2
    assert told[2]["wall_ns"] > 0


def test_the_benchmark_worker_names_a_folder_without_a_model(tmp_path):
    with pytest.raises(StageError, match=r"config\.json"):
        load(tmp_path, max_length=10, threads=1, device="cpu", attention="eager")


@pytest.mark.parametrize(
    ("flags", "precision", "enabled"),
    [
        ("fpu avx512_bf16", "auto", False),
        ("fpu amx_bf16 amx_tile", "auto", True),
        ("fpu amx_bf16", "fp32", False),
        ("fpu", "bf16", True),
    ],
)
def test_bfloat16_is_for_cpus_with_matrix_units(tmp_path, monkeypatch, flags, precision, enabled):
    (tmp_path / "cpuinfo").write_text(f"processor: 0\nflags: {flags}\n")
    monkeypatch.setattr(device, "_CPUINFO", tmp_path / "cpuinfo")
    with device.autocast(torch.device("cpu"), precision):
        product = torch.ones(2, 2) @ torch.ones(2, 2)
    assert (product.dtype == torch.bfloat16) == enabled
