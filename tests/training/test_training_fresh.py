import subprocess
import sys

import pytest
import torch
from transformers import AutoTokenizer

from edgepipe.errors import StageError
from edgepipe.training.fresh import fresh_config, train_tokenizer
from edgepipe.training.load import build_model
from edgepipe.training.save import save_checkpoint
from edgepipe.training.settings import ModelTable, TokenizerTable

TEXTS = ["The film was lovely, quite lovely.", "A dull plot; the actors were duller."] * 20
_PRINT = """
from tests.training.test_training_fresh import TEXTS
from edgepipe.training.fresh import train_tokenizer
from edgepipe.training.settings import TokenizerTable
print(train_tokenizer(lambda: TEXTS, TokenizerTable(kind={kind!r})).backend_tokenizer.to_str())
"""


def _table(**settings):
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    return ModelTable(model_type="bert", intermediate_size=24, **{**sizes, **settings})


def test_wordpieces_are_lower_case_words_between_special_tokens():
    made = train_tokenizer(lambda: TEXTS, TokenizerTable())
    tokens = made.backend_tokenizer.encode("LOVELY film").tokens
    assert tokens == ["[CLS]", "lovely", "film", "[SEP]"]
    assert made.backend_tokenizer.encode("☃").tokens == ["[CLS]", "[UNK]", "[SEP]"]
    assert (made.pad_token_id, made.unk_token_id) == (0, 1)


def test_case_is_kept_when_asked():
    made = train_tokenizer(lambda: TEXTS, TokenizerTable(lowercase=False))
    assert made.backend_tokenizer.encode("The").ids != made.backend_tokenizer.encode("the").ids


def test_bytes_know_every_text():
    made = train_tokenizer(lambda: TEXTS, TokenizerTable(kind="bpe", lowercase=False))
    plain = made.backend_tokenizer
    ids = plain.encode("lovely ☃ Straße").ids
    assert made.unk_token_id not in ids
    assert plain.decode(ids, skip_special_tokens=True) == "lovely ☃ Straße"
    assert plain.encode("a").tokens[0::2] == ["<s>", "</s>"]


@pytest.mark.parametrize("kind", ["wordpiece", "bpe"])
def test_another_process_learns_the_same(kind):
    mine = train_tokenizer(lambda: TEXTS, TokenizerTable(kind=kind)).backend_tokenizer.to_str()
    theirs = subprocess.run(
        [sys.executable, "-c", _PRINT.format(kind=kind)],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert theirs.strip() == mine


def test_the_vocabulary_has_its_limit():
    many = [f"word{n} other{n}" for n in range(2000)]
    made = train_tokenizer(lambda: many, TokenizerTable(vocab_size=300))
    assert len(made) == 300


@pytest.mark.parametrize(
    ("model_type", "kind", "sizes"),
    [
        ("bert", "wordpiece", {"hidden_size": 16, "num_attention_heads": 2}),
        ("roberta", "bpe", {"hidden_size": 16, "num_attention_heads": 2}),
        ("distilbert", "wordpiece", {"dim": 16, "n_heads": 2, "hidden_dim": 24}),
        ("modernbert", "bpe", {"hidden_size": 16, "num_attention_heads": 2}),
    ],
)
def test_a_table_becomes_a_model_that_transformers_loads(tmp_path, model_type, kind, sizes):
    table = ModelTable(model_type=model_type, num_hidden_layers=2, **sizes)
    made = train_tokenizer(lambda: TEXTS, TokenizerTable(kind=kind))
    config = fresh_config(table, made, ("no", "yes"))
    assert (config.vocab_size, config.pad_token_id) == (len(made), made.pad_token_id)
    assert (config.hidden_size, config.num_hidden_layers, config.num_labels) == (16, 2, 2)
    model = build_model(config).eval()
    save_checkpoint(model, made, tmp_path, 32)
    ids = AutoTokenizer.from_pretrained(tmp_path)("A lovely film")["input_ids"]
    assert ids == made.backend_tokenizer.encode("A lovely film").ids
    assert model(torch.tensor([ids])).logits.shape == (1, 2)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"hiden_size": 8}, "bert has no such setting; did you mean 'hidden_size'"),
        ({"vocab_size": 8}, "comes from the tokenizer"),
        ({"num_labels": 3}, "comes from the tokenizer and the data"),
    ],
)
def test_settings_that_would_do_nothing_are_refused(settings, said):
    made = train_tokenizer(lambda: TEXTS, TokenizerTable())
    with pytest.raises(StageError, match=said):
        fresh_config(_table(**settings), made, ("no", "yes"))


def test_an_unknown_architecture_is_refused():
    made = train_tokenizer(lambda: TEXTS, TokenizerTable())
    with pytest.raises(StageError, match="no 'brt'"):
        fresh_config(ModelTable(model_type="brt"), made, ("no", "yes"))


def test_settings_that_contradict_each_other_are_refused():
    made = train_tokenizer(lambda: TEXTS, TokenizerTable())
    config_error = pytest.raises(StageError, match="bert")
    with config_error:
        build_model(fresh_config(_table(num_attention_heads=3), made, ("no", "yes")))
