from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional
from transformers import BertForSequenceClassification

from edgepipe.training import distillation, knowledge
from edgepipe.training.classification import CrossEntropy, Splits
from edgepipe.training.distillation import distill
from edgepipe.training.knowledge import Insides, Wanted, teacher_logits
from edgepipe.training.load import label
from edgepipe.training.pull import InnerPull, Pull
from edgepipe.training.resume import Store
from edgepipe.training.save import save_checkpoint
from edgepipe.training.settings import Distillation
from tests.training.toy_reviews import LABELS, Interrupted, config, corpus, session, tokenizer

INSIDE = {"hidden_weight": 1.0, "attention_weight": 10.0}
QUICK = {"layers": 2, "epochs": 2, "batch_size": 16, "learning_rate": 3e-3}


def _teacher() -> BertForSequenceClassification:
    torch.manual_seed(3)
    wanted = label(config(num_hidden_layers=3, num_attention_heads=4), LABELS)
    return BertForSequenceClassification._from_config(wanted, attn_implementation="eager").eval()


@pytest.fixture(scope="module")
def reviews(tmp_path_factory):
    return corpus(tmp_path_factory.mktemp("reviews") / "data", train=48, validation=16)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("teacher")
    save_checkpoint(_teacher(), tokenizer(), place, 16)
    return place


def _batches(reviews, folder):
    splits = Splits.read(reviews, tokenizer(), 16)
    return splits.batches(_teacher(), Distillation(layers=2, batch_size=16), session(folder))


def _inside(model, batch):
    with torch.no_grad():
        return model(
            batch.input_ids, attention_mask=batch.attention_mask,
            output_hidden_states=True, output_attentions=True,
        )  # fmt: skip


@pytest.mark.parametrize("budget", [0, 20_000, 1 << 30])
def test_the_inside_is_the_teachers_whatever_is_remembered(reviews, tmp_path, budget):
    teacher, batches = _teacher(), _batches(reviews, tmp_path)
    insides = Insides(teacher, batches, Wanted(layers=(0, 2), hidden=True, attention=True), budget)
    assert len(insides.known) == {0: 0, 1 << 30: 48}.get(budget, len(insides.known))
    assert budget != 20_000 or 0 < len(insides.known) < 48
    for batch in batches.epoch(1):
        got, expected = insides.of(batch), _inside(teacher, batch)
        real = batch.attention_mask.bool()
        for mine, at in zip(got.hidden, (0, 1, 3), strict=True):
            torch.testing.assert_close(
                mine[real], expected.hidden_states[at][real], rtol=1e-3, atol=1e-3
            )
            assert not mine[~real].any()
        pairs = real[:, None, :, None] & real[:, None, None, :]
        for mine, at in zip(got.attention, (0, 2), strict=True):
            torch.testing.assert_close(mine, expected.attentions[at] * pairs, rtol=1e-3, atol=1e-3)


def test_what_is_remembered_stays_within_the_budget(reviews, tmp_path):
    wanted = Wanted(layers=(0, 2), hidden=True, attention=False)
    insides = Insides(_teacher(), _batches(reviews, tmp_path), wanted, 20_000)
    held = sum(part.nbytes for parts in insides.known.values() for part in parts)
    assert 19_000 < held <= 20_000


def test_the_whole_pull_is_the_weighed_sum(reviews, tmp_path):
    teacher, batches = _teacher(), _batches(reviews, tmp_path)
    settings = Distillation(layers=1, temperature=3.0, logit_weight=0.6, label_weight=0.2, **INSIDE)
    torch.manual_seed(8)
    student = BertForSequenceClassification._from_config(
        label(config(num_hidden_layers=1, hidden_size=8), LABELS), attn_implementation="eager"
    ).eval()
    wanted = Wanted(layers=(2,), hidden=True, attention=True)
    inner = InnerPull(settings, Insides(teacher, batches, wanted, 1 << 30), width=8)
    logits = teacher_logits(teacher, batches, Store(tmp_path / "store"))
    pull = Pull(settings, CrossEntropy(settings, reviews), logits, inner)
    batch = next(iter(batches.epoch(0)))
    mine, its = _inside(student, batch), _inside(teacher, batch)
    real = batch.attention_mask.bool()
    soft = 9 * functional.kl_div(
        functional.log_softmax(mine.logits / 3, -1), functional.softmax(its.logits / 3, -1),
        reduction="batchmean",
    )  # fmt: skip
    hidden = sum(
        functional.mse_loss((mine.hidden_states[a] @ inner.project.weight.T)[real],
                            its.hidden_states[b][real])
        for a, b in ((0, 0), (1, 3))
    )  # fmt: skip
    pairs = real[:, :, None] & real[:, None, :]
    attention = functional.mse_loss(
        mine.attentions[0].mean(1)[pairs], its.attentions[2].mean(1)[pairs]
    )
    hard = functional.cross_entropy(mine.logits, batch.labels)
    expected = 0.6 * soft + 0.2 * hard + 1.0 * hidden + 10.0 * attention
    assert pull(student, batch).item() == pytest.approx(expected.item(), rel=1e-3)


def _weights(trained):
    return {name: p.detach().clone() for name, p in trained.model.named_parameters()}


def _distances(first, second):
    return max((first[name] - second[name]).abs().max().item() for name in first)


def test_the_budget_does_not_change_the_student(reviews, folder, tmp_path):
    results = []
    for budget in (0, 30_000, 1 << 30):
        settings = Distillation(**QUICK, **INSIDE, cache_bytes=budget)
        run = session(tmp_path / str(budget))
        results.append(_weights(distill(folder, reviews, settings, 16, run)))
    unlike = Distillation(**QUICK)
    other = _weights(distill(folder, reviews, unlike, 16, session(tmp_path / "other")))
    assert max(_distances(results[0], result) for result in results[1:]) < 2e-3
    assert _distances(results[0], other) > 5e-3


@pytest.mark.parametrize(
    "settings", [{}, {**INSIDE, "cache_bytes": 30_000}, {**INSIDE, "hidden_size": 8}]
)
@pytest.mark.parametrize("stop_at", [2, 3, 5])
def test_a_killed_distillation_ends_as_if_it_had_not_been(
    reviews, folder, tmp_path, settings, stop_at
):
    wanted = Distillation(**QUICK, **settings)
    whole = distill(folder, reviews, wanted, 16, session(tmp_path / "whole"))
    work = tmp_path / "work"
    with pytest.raises(Interrupted):
        distill(folder, reviews, wanted, 16, session(work, stop_at=stop_at, every_s=0.0))
    again = distill(folder, reviews, wanted, 16, session(work))
    assert again.notes == whole.notes
    assert _distances(_weights(again), _weights(whole)) == 0


def test_the_teacher_is_asked_once(reviews, folder, tmp_path, monkeypatch):
    asked = []

    def counted(model, encoded, pad):
        asked.append(len(encoded))
        return original(model, encoded, pad)

    original = knowledge.run
    monkeypatch.setattr(knowledge, "run", counted)
    wanted = Distillation(**QUICK)
    with pytest.raises(Interrupted):
        distill(folder, reviews, wanted, 16, session(tmp_path, stop_at=1, every_s=0.0))
    distill(folder, reviews, wanted, 16, session(tmp_path))
    assert asked == [48]


def test_damaged_answers_are_computed_anew(reviews, folder, tmp_path):
    batches = _batches(reviews, tmp_path)
    store = Store(tmp_path / "store")
    first = teacher_logits(_teacher(), batches, store)
    file = tmp_path / "store" / "teacher-logits" / "tensors.safetensors"
    file.write_bytes(file.read_bytes()[:50])
    assert torch.equal(teacher_logits(_teacher(), batches, store), first)
    expected = _inside(_teacher(), batches.gather(np.arange(48))).logits
    torch.testing.assert_close(first, expected, rtol=1e-4, atol=1e-5)


def test_word_embeddings_are_the_teachers_unless_they_train(reviews, folder, tmp_path):
    words = _teacher().bert.embeddings.word_embeddings.weight
    for frozen in (True, False):
        wanted = Distillation(**QUICK, freeze_embeddings=frozen)
        run = session(tmp_path / str(frozen))
        student = distill(folder, reviews, wanted, 16, run).model
        assert torch.equal(student.bert.embeddings.word_embeddings.weight, words) == frozen


def test_a_student_that_matches_maps_has_no_attention_dropout(reviews, folder, tmp_path):
    wanted = Distillation(**QUICK, dropout=0.25)
    for weight, rate in ((0.0, 0.25), (1.0, 0.0)):
        asked = wanted.model_copy(update={"attention_weight": weight})
        student, layers = distillation._student(_teacher(), asked)
        assert student.config.attention_probs_dropout_prob == rate
        assert student.config.hidden_dropout_prob == 0.25
        assert layers == (0, 2)


def test_students_come_to_say_what_the_teacher_says(reviews, folder, tmp_path):
    wanted = Distillation(
        **{**QUICK, "epochs": 10}, label_weight=0.0, logit_weight=1.0, dropout=0.0
    )
    after = distill(folder, reviews, wanted, 16, session(tmp_path)).model
    before, _ = distillation._student(_teacher(), wanted)
    batch = _batches(reviews, tmp_path).gather(np.arange(48))
    teacher = _inside(_teacher(), batch).logits.softmax(-1)
    gaps = [
        (_inside(model.eval(), batch).logits.softmax(-1) - teacher).abs().mean().item()
        for model in (before, after)
    ]
    assert gaps[1] < gaps[0] / 2
