import dataclasses
import itertools

import numpy as np
import pytest
import torch
from transformers import BertForSequenceClassification, get_linear_schedule_with_warmup

from edgepipe.errors import StageError
from edgepipe.training.batches import Batches
from edgepipe.training.classification import CrossEntropy, Splits
from edgepipe.training.loop import Job, fit
from edgepipe.training.settings import Optimisation
from tests.training.toy_reviews import Interrupted, config, corpus, session, tokenizer

QUICK = {"epochs": 3, "batch_size": 16, "learning_rate": 3e-3}


def _job(folder, *, score=None, dropout=0.1, **settings):
    """A tiny model, its data, and settings that learn within three epochs."""
    if not folder.exists():
        corpus(folder)
    data = dataclasses.replace(
        corpus(folder.with_name(f"{folder.name}-{next(_FRESH)}")),
        train=folder / "train.jsonl",
        validation=folder / "validation.jsonl",
    )
    torch.manual_seed(5)
    model = BertForSequenceClassification(
        config(hidden_dropout_prob=dropout, attention_probs_dropout_prob=dropout)
    )
    wanted = Optimisation(**{**QUICK, **settings})
    splits = Splits.read(data, tokenizer(), 16)
    return Job(
        model=model,
        objective=CrossEntropy(wanted, data),
        batches=splits.batches(model, wanted, session(folder)),
        score=score or splits.scorer(wanted, 2),
        settings=wanted,
    )


_FRESH = itertools.count()


def _weights(job):
    return {name: p.detach().clone() for name, p in job.model.named_parameters()}


def _same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


def test_it_learns_and_says_which_epoch_it_kept(tmp_path):
    job = _job(tmp_path / "data", epochs=12, learning_rate=1e-2)
    outcome = fit(job, session(tmp_path / "work"))
    assert outcome.score > 0.9
    assert outcome.score == job.score(job.model)
    assert not job.model.training


def _by_hand(job):
    """The same training, written out with transformers' schedule and torch's plain AdamW."""
    decayed = [p for p in job.model.parameters() if p.ndim > 1]
    plain = [p for p in job.model.parameters() if p.ndim == 1]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.01}, {"params": plain, "weight_decay": 0.0}],
        lr=3e-3, foreach=False,
    )  # fmt: skip
    schedule = get_linear_schedule_with_warmup(optimizer, 2, 18)
    job.model.train()
    for epoch in range(3):
        for batch in job.batches.epoch(epoch):
            loss = job.model(
                batch.input_ids, attention_mask=batch.attention_mask, labels=batch.labels
            ).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(job.model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()


def test_without_dropout_it_is_the_textbook_loop(tmp_path):
    scores = itertools.count()
    ours = _job(tmp_path / "data", dropout=0.0, score=lambda _: next(scores))
    fit(ours, session(tmp_path / "work"))
    theirs = _job(tmp_path / "data", dropout=0.0)
    _by_hand(theirs)
    expected = _weights(theirs)
    for name, value in _weights(ours).items():
        if name.endswith("key.bias"):
            continue  # softmax cancels it: its gradient is rounding, which Adam blows up
        torch.testing.assert_close(value, expected[name], rtol=1e-3, atol=1e-5)


def test_equal_seeds_give_equal_weights_and_others_do_not(tmp_path):
    results = []
    for n, seed in enumerate((0, 0, 1)):
        job = _job(tmp_path / "data")
        batches = dataclasses.replace(job.batches, seed=seed)
        fit(dataclasses.replace(job, batches=batches), session(tmp_path / f"work{n}"))
        results.append(_weights(job))
    assert _same(results[0], results[1])
    assert not _same(results[0], results[2])


def test_the_callers_random_state_is_left_alone(tmp_path):
    job = _job(tmp_path / "data", epochs=1)
    torch.manual_seed(9)
    expected = torch.rand(3)
    torch.manual_seed(9)
    fit(job, session(tmp_path / "work"))
    assert torch.equal(torch.rand(3), expected)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    job = _job(folder / "data")
    outcome = fit(job, session(folder / "work"))
    return folder / "data", outcome, _weights(job)


@pytest.mark.parametrize("every_s", [0.0, 60.0])
@pytest.mark.parametrize("stop_at", [1, 5, 6, 7, 12, 17, 18])
def test_a_killed_training_ends_as_if_it_had_not_been(tmp_path, undisturbed, stop_at, every_s):
    data, outcome, weights = undisturbed
    with pytest.raises(Interrupted):
        fit(_job(data), session(tmp_path, stop_at=stop_at, every_s=every_s))
    again = _job(data)
    assert fit(again, session(tmp_path, every_s=every_s)) == outcome
    assert _same(_weights(again), weights)


def test_a_training_killed_again_and_again_ends_too(tmp_path, undisturbed):
    data, outcome, weights = undisturbed
    for stop_at in range(2, 19, 3):
        with pytest.raises(Interrupted):
            fit(_job(data), session(tmp_path, stop_at=stop_at, every_s=0.0))
    again = _job(data)
    assert fit(again, session(tmp_path)) == outcome
    assert _same(_weights(again), weights)


def test_steps_done_before_a_kill_are_not_done_again(tmp_path, undisturbed):
    data, _, _ = undisturbed
    with pytest.raises(Interrupted):
        fit(_job(data), session(tmp_path, stop_at=9, every_s=0.0))
    steps = []
    run = session(tmp_path)
    fit(_job(data), dataclasses.replace(run, progress=lambda done, *_: steps.append(done)))
    assert steps[0] == 10


def test_only_the_newest_state_and_the_best_weights_are_kept(tmp_path, undisturbed):
    data, outcome, _ = undisturbed
    fit(_job(data), session(tmp_path, every_s=0.0))
    kept = sorted(path.name for path in tmp_path.iterdir())
    assert kept == [f"best-{outcome.best_epoch - 1:05d}", "state-000000018-00003"]


def test_a_state_that_cannot_be_read_is_passed_over(tmp_path, undisturbed):
    data, outcome, weights = undisturbed
    with pytest.raises(Interrupted):
        fit(_job(data), session(tmp_path, stop_at=9, every_s=0.0))
    (state,) = tmp_path.glob("state-*")
    (state / "tensors.safetensors").write_bytes(b"short")
    again = _job(data)
    assert fit(again, session(tmp_path)) == outcome
    assert _same(_weights(again), weights)


def _told(*scores):
    """A score that says these numbers in turn and remembers the weights it was shown."""
    seen, left = [], iter(scores)

    def score(model):
        seen.append({name: p.detach().clone() for name, p in model.named_parameters()})
        return next(left)

    return score, seen


def test_the_best_epoch_is_kept_the_earliest_among_equals(tmp_path):
    score, seen = _told(0.5, 0.7, 0.7)
    job = _job(tmp_path / "data", score=score)
    outcome = fit(job, session(tmp_path / "work"))
    assert (outcome.epochs, outcome.best_epoch, outcome.score) == (3, 2, 0.7)
    assert _same(_weights(job), seen[1])
    assert not _same(_weights(job), seen[2])


@pytest.mark.parametrize(("patience", "epochs"), [(1, 3), (2, 6), (None, 8)])
def test_patience_ends_it_early(tmp_path, patience, epochs):
    score, _ = _told(0.5, 0.6, 0.6, 0.65, 0.6, 0.6, 0.6, 0.6)
    job = _job(tmp_path / "data", score=score, patience=patience, epochs=8)
    outcome = fit(job, session(tmp_path / "work"))
    assert (outcome.epochs, outcome.best_epoch) == (epochs, 2 if patience == 1 else 4)


def test_a_loss_that_is_no_number_names_its_step(tmp_path):
    job = _job(tmp_path / "data")
    calls = itertools.count(1)

    def objective(model, batch):
        return job.objective(model, batch) * (float("nan") if next(calls) == 5 else 1.0)

    with pytest.raises(StageError, match=r"loss became nan at step 5 of 18; try a lower learning"):
        fit(dataclasses.replace(job, objective=objective), session(tmp_path / "work"))


def test_a_gradient_that_is_no_number_names_its_step(tmp_path):
    job = _job(tmp_path / "data")

    def objective(model, batch):
        return torch.sqrt(job.objective(model, batch) * 0.0)

    with pytest.raises(StageError, match=r"gradient became nan at step 1 of 18"):
        fit(dataclasses.replace(job, objective=objective), session(tmp_path / "work"))


def test_frozen_weights_stay_and_are_not_stored(tmp_path):
    job = _job(tmp_path / "data")
    words = job.model.bert.embeddings.word_embeddings.weight.requires_grad_(requires_grad=False)
    before = words.clone()
    fit(job, session(tmp_path / "work"))
    assert torch.equal(words, before)
    (state,) = (tmp_path / "work").glob("state-*/tensors.safetensors")
    assert b"word_embeddings" not in state.read_bytes()


def test_weights_of_the_objective_train_and_resume(tmp_path):
    def made(folder, **stops):
        job = _job(tmp_path / "data")

        class Scaled(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.scale = torch.nn.Parameter(torch.ones(2))

            def forward(self, model, batch):
                answer = model(batch.input_ids, attention_mask=batch.attention_mask)
                return job.objective.of(answer.logits * self.scale, batch)

        scaled = Scaled()
        try:
            fit(dataclasses.replace(job, objective=scaled), session(folder, **stops))
        except Interrupted:
            return made(folder)
        return scaled.scale.detach()

    whole = made(tmp_path / "a")
    assert not torch.equal(whole, torch.ones(2))
    assert torch.equal(made(tmp_path / "b", stop_at=8, every_s=0.0), whole)


def test_class_weights_enter_the_loss(tmp_path):
    job = _job(tmp_path / "data", class_weights=True)
    batch = next(iter(job.batches.epoch(0)))
    logits = torch.randn(len(batch.index), 2)
    counts = np.bincount(job.batches.labels)
    weights = torch.tensor(counts.sum() / (2 * counts), dtype=torch.float32)
    expected = torch.nn.functional.cross_entropy(logits, batch.labels, weight=weights)
    assert job.objective.of(logits, batch).item() == pytest.approx(expected.item())
    assert weights[0] != weights[1]


def test_gradients_are_clipped(tmp_path, monkeypatch):
    norms = []

    def clip(parameters, largest):
        norms.append(largest)
        return original(parameters, largest)

    original = torch.nn.utils.clip_grad_norm_
    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", clip)
    fit(_job(tmp_path / "data", max_grad_norm=0.25, epochs=1), session(tmp_path / "work"))
    assert norms == [0.25] * 6


def test_batches_are_those_of_the_settings(tmp_path):
    batches = _job(tmp_path / "data", batch_size=7).batches
    assert isinstance(batches, Batches)
    assert (batches.batch_size, batches.per_epoch) == (7, 14)
