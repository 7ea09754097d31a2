import json

import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from edgepipe import disk
from edgepipe.errors import DiskError
from edgepipe.training.load import load_model, load_tokenizer
from edgepipe.training.save import FILES, save_checkpoint
from tests.convert.families import FAMILIES, build
from tests.training.toy_reviews import tokenizer

TEXT = "the film was quite lovely and strange"


def _save(folder, family="bert"):
    folder.mkdir()
    made = tokenizer()
    made.backend_tokenizer.enable_padding(length=20)
    model = build(family)
    save_checkpoint(model, made, folder, 12)
    return model


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_saved_loads_here_and_in_transformers(tmp_path, family):
    model = _save(tmp_path / "a", family)
    assert {file.as_posix() for file in disk.files_under(tmp_path / "a")} == set(FILES)
    ids = torch.randint(5, 60, (2, 9))
    expected = model(ids).logits
    theirs = AutoModelForSequenceClassification.from_pretrained(
        tmp_path / "a", attn_implementation="eager"
    )
    assert torch.equal(theirs(ids).logits, expected)
    assert torch.equal(load_model(tmp_path / "a")(ids).logits, expected)


def test_the_tokenizer_does_what_it_did(tmp_path):
    _save(tmp_path / "a")
    expected = tokenizer()(TEXT)["input_ids"]
    assert AutoTokenizer.from_pretrained(tmp_path / "a")(TEXT)["input_ids"] == expected
    assert load_tokenizer(tmp_path / "a").backend_tokenizer.encode(TEXT).ids == expected
    assert load_tokenizer(tmp_path / "a").model_max_length == 12


def test_the_bytes_repeat_and_tell_nothing_of_the_machine(tmp_path):
    for name in "ab":
        _save(tmp_path / name)
    _again = load_model(tmp_path / "a"), load_tokenizer(tmp_path / "a")
    (tmp_path / "c").mkdir()
    save_checkpoint(*_again, tmp_path / "c", 12)
    digests = [disk.digest(tmp_path / name) for name in "abc"]
    assert digests[0] == digests[1] == digests[2]
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        assert str(tmp_path) not in (tmp_path / "c" / name).read_text()
    keys = json.loads((tmp_path / "c" / "tokenizer_config.json").read_text())
    assert not {"is_local", "local_files_only", "name_or_path"} & keys.keys()


def test_everybody_may_read_the_weights(tmp_path):
    _save(tmp_path / "a")
    modes = {(tmp_path / "a" / name).stat().st_mode for name in FILES}
    assert len(modes) == 1


def test_a_full_disk_is_one_error(tmp_path):
    def full(operation, path):
        if "weights" in operation:
            raise OSError(28, "No space left on device")

    with disk.hooked(full), pytest.raises(DiskError, match="no space left"):
        _save(tmp_path / "a")
