import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSequenceClassification, BertForSequenceClassification

from edgepipe.errors import StageError
from edgepipe.training import load
from tests.convert.families import FAMILIES, build
from tests.training.toy_reviews import base, config, tokenizer


def _classifier(folder, **changes):
    torch.manual_seed(1)
    model = BertForSequenceClassification(config(**changes)).eval()
    model.save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return model


def _ids():
    return torch.tensor([[2, 5, 6, 14, 3]])


def test_a_classifier_comes_back_as_transformers_loads_it(tmp_path):
    _classifier(tmp_path, num_labels=3)
    expected = AutoModelForSequenceClassification.from_pretrained(tmp_path)(_ids()).logits
    for attention in ("eager", "sdpa"):
        model = load.load_model(tmp_path, attention=attention)
        assert not model.training
        assert model.config._attn_implementation == attention
        torch.testing.assert_close(model(_ids()).logits, expected)


def test_half_precision_files_are_loaded_in_full(tmp_path):
    _classifier(tmp_path)
    file = tmp_path / "model.safetensors"
    save_file({k: v.half() for k, v in load_file(file).items()}, file, {"format": "pt"})
    assert {p.dtype for p in load.load_model(tmp_path).parameters()} == {torch.float32}


@pytest.mark.parametrize("family", FAMILIES)
def test_sdpa_is_taken_where_there_is_one(family):
    model = load.build_model(build(family).config, "sdpa")
    expected = "eager" if family in {"mpnet", "deberta-v2"} else "sdpa"
    assert model.config._attn_implementation == expected


def _fresh(folder, labels, seed):
    torch.manual_seed(seed)
    wanted = load.label(load.load_config(folder), labels)
    return load.load_model(folder, config=wanted, fresh_head=True)


def test_a_body_gets_a_seeded_head_and_keeps_its_weights(tmp_path):
    base(tmp_path)
    stored = load_file(tmp_path / "model.safetensors")
    first, again, other = (_fresh(tmp_path, "abc", seed) for seed in (0, 0, 1))
    assert first.classifier.weight.shape == (3, 16)
    assert torch.equal(first.classifier.weight, again.classifier.weight)
    assert not torch.equal(first.classifier.weight, other.classifier.weight)
    assert all(torch.equal(first.bert.state_dict()[name], stored[name]) for name in stored)
    assert load.label_names(first.config) == ("a", "b", "c")


def test_a_head_of_another_size_is_replaced_and_one_that_fits_is_kept(tmp_path):
    known = _classifier(tmp_path, num_labels=3)
    assert _fresh(tmp_path, "ab", 0).classifier.weight.shape == (2, 16)
    assert torch.equal(_fresh(tmp_path, "abc", 0).classifier.weight, known.classifier.weight)


def test_a_body_alone_is_not_taken_for_a_classifier(tmp_path):
    with pytest.raises(StageError, match=r"lacks 2 of weights .*classifier\.bias"):
        load.load_model(base(tmp_path))


def test_a_body_with_a_hole_is_refused(tmp_path):
    base(tmp_path)
    file = tmp_path / "model.safetensors"
    tensors = load_file(file)
    del tensors["encoder.layer.1.output.dense.weight"]
    save_file(tensors, file, {"format": "pt"})
    with pytest.raises(StageError, match=r"encoder\.layer\.1\.output\.dense\.weight"):
        _fresh(tmp_path, "ab", 0)


def test_a_config_that_does_not_fit_the_weights_is_refused(tmp_path):
    base(tmp_path)
    told = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**told, "intermediate_size": 32}))
    with pytest.raises(StageError, match="another size than its config"):
        _fresh(tmp_path, "ab", 0)


@pytest.mark.parametrize("keep", [0, 4, 200, -1])
def test_cut_weights_are_refused_before_torch_sees_them(tmp_path, keep):
    _classifier(tmp_path)
    file = tmp_path / "model.safetensors"
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(StageError, match=r"model\.safetensors is cut short or damaged"):
        load.load_model(tmp_path)


def test_pickles_are_refused_with_the_way_out(tmp_path):
    _classifier(tmp_path)
    (tmp_path / "model.safetensors").rename(tmp_path / "pytorch_model.bin")
    with pytest.raises(StageError, match=r"only as pytorch_model\.bin.*save_pretrained"):
        load.load_model(tmp_path)
    (tmp_path / "pytorch_model.bin").unlink()
    with pytest.raises(StageError, match=r"no model\.safetensors"):
        load.load_model(tmp_path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "holds no config.json"),
        ("{", "not a valid JSON"),
        ("{}", "Unrecognized model"),
        ('{"model_type": "nope"}', "nope"),
    ],
)
def test_a_config_that_is_none_is_refused(tmp_path, text, said):
    if text is not None:
        (tmp_path / "config.json").write_text(text)
    with pytest.raises(StageError, match=said):
        load.load_config(tmp_path)


def test_an_architecture_that_classifies_no_text_is_refused(tmp_path):
    base(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "vit"}')
    with pytest.raises(StageError, match=r"no text classifier can be made .* 'vit'"):
        load.load_model(tmp_path)


def test_a_folder_without_a_tokenizer_gets_no_made_up_one(tmp_path):
    _classifier(tmp_path)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).unlink()
    with pytest.raises(StageError, match="holds no tokenizer"):
        load.load_tokenizer(tmp_path)


def test_a_damaged_tokenizer_is_named(tmp_path):
    _classifier(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(StageError, match=r"tokenizer .* cannot be read"):
        load.load_tokenizer(tmp_path)


def test_a_tokenizer_neither_pads_nor_cuts_once_loaded(tmp_path):
    _classifier(tmp_path)
    made = tokenizer()
    made.backend_tokenizer.enable_padding(length=20)
    made.backend_tokenizer.enable_truncation(3)
    made.backend_tokenizer.save(str(tmp_path / "tokenizer.json"))
    found = load.load_tokenizer(tmp_path).backend_tokenizer.encode("a film was lovely")
    assert len(found.ids) == 6


def test_a_vocabulary_file_is_converted(tmp_path):
    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nfilm\n##s\n")
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    found = load.load_tokenizer(tmp_path)
    assert found.backend_tokenizer.encode("Films").ids == [2, 5, 6, 3]


@pytest.mark.parametrize("family", FAMILIES)
def test_positions_end_where_the_table_does(family):
    model = build(family)
    limit = load.length_limit(model, tokenizer())
    assert limit == 30  # the tokenizer's own
    unbounded = tokenizer()
    unbounded.model_max_length = 10**30
    limit = load.length_limit(model, unbounded)
    assert limit == (38 if family in {"roberta", "xlm-roberta", "mpnet"} else 40)
    if family != "modernbert":  # positions without a table
        model(torch.full((1, limit), 7))
    if family not in {"deberta-v2", "modernbert"}:
        with pytest.raises((IndexError, RuntimeError)):
            model(torch.full((1, limit + 1), 7))


@pytest.mark.parametrize("family", FAMILIES)
def test_dropout_is_set_everywhere(family):
    model = load.build_model(load.set_dropout(build(family).config, 0.0)).train()
    ids = torch.randint(5, 60, (2, 9))
    assert torch.equal(model(ids).logits, model(ids).logits)
    noisy = load.build_model(load.set_dropout(build(family).config, 0.4)).train()
    assert not torch.equal(noisy(ids).logits, noisy(ids).logits)
