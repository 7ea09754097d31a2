from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.cli.conftest import Run
from tests.runtime.tiny_onnx import Tiny, write_bundle

TINY = Tiny()


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "bundle", TINY)


def expected(text: str) -> tuple[str, float]:
    """By numpy."""
    logits = TINY.logits(text)
    shares = np.exp(logits - logits.max())
    best = int(logits.argmax())
    return TINY.labels[best], float(shares[best] / shares.sum())


def test_a_line_a_text(edgepipe: Run, bundle: Path) -> None:
    done = edgepipe("predict", bundle, "good film", "bad plot")
    assert done.code == 0
    lines = [line.split("\t") for line in done.out.splitlines()]
    assert [line[2] for line in lines] == ["good film", "bad plot"]
    for label, score, text in lines:
        wanted, share = expected(text)
        assert label == wanted
        assert float(score) == pytest.approx(share, abs=6e-5)


def test_an_object_a_text(edgepipe: Run, bundle: Path) -> None:
    done = edgepipe("predict", bundle, "--json", "good\nfilm", "naïve 日本")
    answers = [json.loads(line) for line in done.out.splitlines()]
    assert [answer["text"] for answer in answers] == ["good\nfilm", "naïve 日本"]
    for answer in answers:
        assert (answer["label"], answer["score"]) == (
            expected(answer["text"])[0],
            pytest.approx(expected(answer["text"])[1], abs=1e-5),
        )


def test_a_file_of_any_length_keeps_its_order(edgepipe: Run, bundle: Path, tmp_path: Path) -> None:
    words = ("good", "bad", "film", "the", "very")
    texts = [" ".join(words[(n * k) % 5] for k in range(1, 2 + n % 7)) for n in range(600)]
    texts[300] = ""
    (tmp_path / "texts.txt").write_text("\r\n".join(texts) + "\r\n")
    done = edgepipe("predict", bundle, "first", "--file", tmp_path / "texts.txt", "--json")
    answers = [json.loads(line) for line in done.out.splitlines()]
    assert [answer["text"] for answer in answers] == ["first", *texts]
    assert [answer["label"] for answer in answers[1:]] == [expected(text)[0] for text in texts]


def test_a_dash_is_standard_input(
    edgepipe: Run, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stdin = io.TextIOWrapper(io.BytesIO(b"good film\nbad plot\n"), encoding="utf-8")
    monkeypatch.setattr(sys, "stdin", stdin)
    done = edgepipe("predict", bundle, "--file", "-")
    assert [line.split("\t")[2] for line in done.out.splitlines()] == ["good film", "bad plot"]


def test_texts_that_are_not_utf8_are_a_wrong_call(
    edgepipe: Run, bundle: Path, tmp_path: Path
) -> None:
    (tmp_path / "texts.txt").write_bytes(b"fine\ncaf\xe9\n")
    done = edgepipe("predict", bundle, "--file", tmp_path / "texts.txt")
    assert done.code == 2
    assert "texts.txt: not UTF-8" in done.err


@pytest.mark.parametrize(
    ("args", "code", "told"),
    [
        (["--variant", "int9"], 2, "has no variant 'int9'"),
        (["--device", "tpu"], 2, "Invalid value for '--device'"),
        (["--file", "absent.txt"], 2, "Invalid value for '--file'"),
    ],
)
def test_a_wrong_option(edgepipe: Run, bundle: Path, args: list[str], code: int, told: str) -> None:
    done = edgepipe("predict", bundle, "x", *args)
    assert (done.code, done.out) == (code, "")
    assert told in done.err


def test_a_changed_bundle_is_refused(edgepipe: Run, bundle: Path) -> None:
    (bundle / "onnx" / "model.onnx").write_bytes(b"short")
    done = edgepipe("predict", bundle, "x")
    assert (done.code, done.out) == (3, "")
    assert "onnx/model.onnx" in done.err
