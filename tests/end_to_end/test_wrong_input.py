"""Wrong input through the program: one clear error, its exit code, never a traceback."""

from __future__ import annotations

import errno
import json
import shutil
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

from edgepipe import cli, disk

ROWS = [{"text": f"text number {n}", "label": n % 2} for n in range(40)]
DATA = """
[step.data]
use = "data"
train = "train.jsonl"
{more}
"""
TEACHER = """
[step.teacher]
use = "checkpoint"
model = "model"
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier with two labels, as Hugging Face saves it."""
    place = tmp_path_factory.mktemp("model")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "text", "number"]
    tokenizer = Tokenizer(models.WordLevel({w: n for n, w in enumerate(words)}, "[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", model_max_length=32
    )
    fast.save_pretrained(place)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=32,
    )
    BertForSequenceClassification(config).save_pretrained(place)
    return place


@pytest.fixture
def place(tmp_path: Path, model: Path) -> Path:
    """A folder with a good training file, a good model and a pipeline file to break."""
    write(tmp_path / "train.jsonl", ROWS)
    shutil.copytree(model, tmp_path / "model")
    return tmp_path


def write(path: Path, rows: list[dict[str, object]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def run(place: Path, text: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str]]:
    """The exit code and the error lines of ``edgepipe run``."""
    file = place / "pipeline.toml"
    file.write_text('name = "wrong"\ntask = "text-classification"\n' + text)
    code = cli.call(["run", str(file), "--artifacts", str(place / "artifacts")])
    err = capsys.readouterr().err
    assert "Traceback" not in err
    return code, [line for line in err.splitlines() if line.startswith("error: ")]


def test_good_input_passes(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(place, DATA.format(more="") + TEACHER, capsys) == (0, [])


def test_a_missing_file(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, errors = run(place, DATA.format(more='test = "absent.jsonl"'), capsys)
    assert code == 2
    assert len(errors) == 1
    assert "pipeline.toml:7: step.data.test: absent.jsonl: there is no such file" in errors[0]


@pytest.mark.parametrize(
    ("rows", "more", "says"),
    [
        (ROWS, 'text_column = "txt"', "has no column 'txt'"),
        ([*ROWS, {"text": " ", "label": 0}], "", "train.jsonl:41: empty text"),
        ([{**row, "label": 0} for row in ROWS], "", "two classes or more"),
        ([*ROWS, {"text": "no label"}], "", "train.jsonl:41: "),
    ],
    ids=["missing column", "empty text", "single class", "missing label"],
)
def test_wrong_rows(
    place: Path,
    capsys: pytest.CaptureFixture[str],
    rows: list[dict[str, object]],
    more: str,
    says: str,
) -> None:
    write(place / "train.jsonl", rows)
    code, errors = run(place, DATA.format(more=more), capsys)
    assert code == 3
    assert len(errors) == 1
    assert says in errors[0]
    assert "step 'data'" in errors[0]


def test_an_unknown_label_in_the_validation_split(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(place / "validation.jsonl", [{"text": "fine", "label": 0}, {"text": "odd", "label": 7}])
    code, errors = run(place, DATA.format(more='validation = "validation.jsonl"'), capsys)
    assert code == 3
    assert "validation.jsonl:2: unknown label '7'" in errors[0]


def test_a_truncated_safetensors_file(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights = place / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    code, errors = run(place, TEACHER, capsys)
    assert code == 3
    assert len(errors) == 1
    assert "model.safetensors" in errors[0]


def test_a_folder_without_a_tokenizer(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for file in (place / "model").glob("token*"):
        file.unlink()
    code, errors = run(place, TEACHER, capsys)
    assert code == 3
    assert len(errors) == 1
    assert "tokenizer" in errors[0]


def test_no_space_left(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def full(name: str, path: Path) -> None:
        if name == "write":
            raise OSError(errno.ENOSPC, "No space left on device")

    with disk.hooked(full):
        code, errors = run(place, TEACHER, capsys)
    assert code == 3
    assert "no space left on the disk" in errors[0]
    assert run(place, TEACHER, capsys) == (0, [])


def test_misspelt_stage_and_setting_are_reported_together(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = DATA.format(more='text_colum = "text"') + TEACHER.replace("checkpoint", "chekpoint")
    code, errors = run(place, text, capsys)
    assert code == 2
    assert "did you mean 'text_column'?" in errors[0]
    assert "did you mean 'checkpoint'?" in errors[1]
