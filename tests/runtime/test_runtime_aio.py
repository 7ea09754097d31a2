from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edgepipe import runtime
from edgepipe.errors import (
    BundleError,
    DeadlineError,
    MissingDependencyError,
    OverloadedError,
    UsageError,
)
from edgepipe.runtime import waiting
from edgepipe.runtime.aio import AsyncClassifier
from edgepipe.runtime.tokenize import Row
from tests.runtime.gated import PATIENCE, Gated
from tests.runtime.tiny_onnx import Tiny, write_bundle


def text(first: int, length: int) -> str:
    return " ".join(map(str, [first] * length))


def awaited(work: Callable[[], Awaitable[Any]]) -> Any:
    async def main() -> Any:
        async with asyncio.timeout(PATIENCE):
            return await work()

    return asyncio.run(main())


def start(
    model: AsyncClassifier, lengths: Sequence[int], **options: Any
) -> list[asyncio.Task[Any]]:
    """A call for a text of each length; its first token is its place in ``lengths``."""
    return [
        asyncio.create_task(model.logits(text(place, length), **options))
        for place, length in enumerate(lengths)
    ]


async def all_waiting(model: AsyncClassifier, count: int) -> None:
    while model.waiting != count:  # noqa: ASYNC110 - it tells of itself to nobody
        await asyncio.sleep(0)


async def run_behind(
    fake: Gated, lengths: Sequence[int], **options: Any
) -> tuple[list[list[int]], list[Any]]:
    """Batches and answers of texts that arrived while the only worker was busy with another one."""
    async with AsyncClassifier(fake, **options) as model:
        blocker = asyncio.create_task(model.logits("99"))
        await fake.busy()
        tasks = start(model, lengths)
        await all_waiting(model, len(lengths))
        fake.gate.set()
        answers = await asyncio.gather(*tasks)
        await blocker
    return fake.ran[1:], answers


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("exact", [True, False])
def test_answers_are_those_of_the_classifier(bundle: Path, *, workers: int, exact: bool) -> None:
    rng = np.random.default_rng(0)
    words = ["good", "bad", "film", "the", "very", "nonsense"]
    texts = [" ".join(rng.choice(words, rng.integers(0, 20))) for _ in range(300)]
    with runtime.load(bundle, threads=1) as direct:
        expected = [direct(text, top_k=None) for text in texts]

        async def work() -> Any:
            async with AsyncClassifier(direct, workers=workers, queue=300, exact=exact) as model:
                calls = [model(text, top_k=None) for text in texts]
                return await asyncio.gather(*calls), await model(texts), await model(texts[0])

        answers, bests, best = awaited(work)
    for found, wanted in zip(answers, expected, strict=True):
        assert [p["label"] for p in found] == [p["label"] for p in wanted]
        np.testing.assert_allclose(
            [p["score"] for p in found], [p["score"] for p in wanted], rtol=1e-5
        )
    assert [p["label"] for p in bests] == [wanted[0]["label"] for wanted in expected]
    assert best == [{**bests[0], "score": pytest.approx(bests[0]["score"], rel=1e-5)}]


def test_exact_answers_do_not_depend_on_batch_mates(tmp_path: Path) -> None:
    """Of a graph whose logits move with the longest row of the batch."""
    tiny = Tiny(mates=True)
    graph = {"file": "onnx/model.onnx", "inputs": list(tiny.inputs), "outputs": ["logits"]}
    variant = {
        "name": "int8", "precision": "int8", "batch_invariant": False, "graphs": {"model": graph},
    }  # fmt: skip
    texts = ["good", "good film", "good good film", "the film", "bad", "very bad plot"] * 5
    with runtime.load(write_bundle(tmp_path / "bundle", tiny, [variant]), threads=1) as direct:

        async def work() -> Any:
            async with AsyncClassifier(direct) as model:
                return await asyncio.gather(*map(model.logits, texts))

        answers = awaited(work)
    for found, wanted in zip(answers, map(tiny.logits, texts), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)


def test_shapes_follow_the_call() -> None:
    fake = Gated()
    fake.gate.set()

    async def work() -> None:
        async with AsyncClassifier(fake) as model:
            assert (await model.logits("7 7")).tolist() == [7, 2]
            assert (await model.logits(["7 7", "8"])).tolist() == [[7, 2], [8, 1]]
            assert (await model.logits([])).shape == (0, 2)
            assert await model("7") == [{"label": "7", "score": 1.0}]
            assert await model(["7", "8"]) == [*await model("7"), *await model("8")]
            assert len(await model("7", top_k=1)) == 1
            assert [len(answer) for answer in await model(["7", "8"], top_k=None)] == [2, 2]

    awaited(work)


def test_a_batch_is_of_like_length_and_within_the_budget() -> None:
    fake = Gated()
    lengths = [20, 4, 21, 40, 24, 20, 20, 4]
    ran, answers = awaited(lambda: run_behind(fake, lengths, exact=False, budget=84))
    assert ran == [[20, 20, 20, 21], [4, 4], [40], [24]]
    assert [answer.tolist() for answer in answers] == [[n, k] for n, k in enumerate(lengths)]


def test_exact_takes_equal_lengths_where_a_variant_is_batch_invariant() -> None:
    ran, _ = awaited(lambda: run_behind(Gated(invariant=True), [5, 6, 5, 6, 5]))
    assert ran == [[5, 5, 5], [6, 6]]


def test_exact_takes_texts_one_by_one_where_it_is_not() -> None:
    ran, _ = awaited(lambda: run_behind(Gated(invariant=False), [5, 6, 5]))
    assert ran == [[5], [6], [5]]


def test_a_text_longer_than_the_budget_runs_alone() -> None:
    ran, _ = awaited(lambda: run_behind(Gated(), [9, 9, 2], exact=False, budget=4))
    assert ran == [[9], [9], [2]]


def test_the_oldest_text_is_never_passed_over() -> None:
    """One that is like no other goes first all the same, however many fit together after it."""
    lengths = [50, *[5] * 200]
    ran, _ = awaited(lambda: run_behind(Gated(), lengths, exact=False, budget=50))
    assert ran[0] == [50]
    assert sum(map(len, ran)) == 201


def test_a_free_worker_takes_at_once_what_is_there() -> None:
    fake = Gated()
    fake.gate.set()

    async def work() -> None:
        async with AsyncClassifier(fake, exact=False) as model:
            for _ in range(3):
                await model.logits("1 1")

    awaited(work)
    assert fake.ran == [[2], [2], [2]]


def test_with_a_delay_a_batch_is_filled_first() -> None:
    """Nothing runs until the budget is full: the delay alone would outlast the test."""
    fake = Gated()
    fake.gate.set()

    async def work() -> None:
        async with AsyncClassifier(fake, exact=False, budget=6, delay=10 * PATIENCE) as model:
            await asyncio.gather(*start(model, [2, 2, 2]))

    awaited(work)
    assert fake.ran == [[2, 2, 2]]


def test_a_delay_ends() -> None:
    fake = Gated()
    fake.gate.set()

    async def work() -> None:
        async with AsyncClassifier(fake, exact=False, delay=0.01) as model:
            await model.logits("1 1")

    awaited(work)
    assert fake.ran == [[2]]


def test_workers_run_at_the_same_time() -> None:
    fake = Gated()

    async def work() -> None:
        async with AsyncClassifier(fake, workers=3) as model:
            tasks = start(model, [1, 2, 3])
            await fake.busy(3)  # while the gate is shut
            fake.gate.set()
            await asyncio.gather(*tasks)

    awaited(work)


def test_beyond_the_queue_a_call_is_refused_and_none_of_its_texts_is_computed() -> None:
    fake = Gated()

    async def work() -> None:
        async with AsyncClassifier(fake, queue=3) as model:
            tasks = start(model, [1])
            await fake.busy()
            tasks += start(model, [2, 2])
            await all_waiting(model, 2)
            with pytest.raises(OverloadedError, match="2 texts are waiting"):
                await model.logits(["7 7 7", "7 7 7"])
            tasks += start(model, [4])
            await all_waiting(model, 3)
            with pytest.raises(OverloadedError, match="3 texts are waiting"):
                await model("7 7 7")
            with pytest.raises(UsageError, match="4 texts in one call, and only 3 may wait"):
                await model(["7"] * 4)
            fake.gate.set()
            await asyncio.gather(*tasks)

    awaited(work)
    assert fake.ran == [[1], [2], [2], [4]]


def test_a_cancelled_call_is_never_computed_and_leaves_its_place() -> None:
    fake = Gated()

    async def work() -> None:
        async with AsyncClassifier(fake, queue=1) as model:
            first = start(model, [1])
            await fake.busy()
            (second,) = start(model, [2])
            await all_waiting(model, 1)
            second.cancel()
            with pytest.raises(asyncio.CancelledError):
                await second
            assert model.waiting == 0
            third = start(model, [3])
            await all_waiting(model, 1)
            fake.gate.set()
            await asyncio.gather(*first, *third)

    awaited(work)
    assert fake.ran == [[1], [3]]


def test_a_call_that_is_too_late_is_never_computed() -> None:
    fake = Gated()

    async def work() -> None:
        async with AsyncClassifier(fake) as model:
            first = start(model, [1])
            await fake.busy()
            for seconds in (0.01, 0, -1):
                with pytest.raises(DeadlineError, match=f"within {seconds} seconds"):
                    await model.logits(["2 2", "2 2"], timeout=seconds)
            assert model.waiting == 0
            fake.gate.set()
            await asyncio.gather(*first)

    awaited(work)
    assert fake.ran == [[1]]


def test_a_worker_looks_at_the_deadline_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock that goes ahead of the event loop's, which has not noticed yet."""
    fake, real = Gated(), time.monotonic
    ahead = SimpleNamespace(monotonic=lambda: real() + 20 * PATIENCE)

    async def work() -> None:
        async with AsyncClassifier(fake) as model:
            first = start(model, [1])
            await fake.busy()
            (late,) = start(model, [2], timeout=10 * PATIENCE)
            await all_waiting(model, 1)
            monkeypatch.setattr(waiting, "time", ahead)
            fake.gate.set()
            await asyncio.gather(*first, *start(model, [3]))
            assert (late.done(), model.waiting) == (False, 0)
            late.cancel()

    awaited(work)
    assert fake.ran == [[1], [3]]


def test_a_deadline_during_inference_leaves_the_worker_well(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fake = Gated()

    async def work() -> None:
        async with AsyncClassifier(fake) as model:
            (late,) = start(model, [1], timeout=PATIENCE / 4)
            await fake.busy()
            loop = asyncio.get_running_loop()
            real = loop.time
            monkeypatch.setattr(loop, "time", lambda: real() + PATIENCE / 2)
            with pytest.raises(DeadlineError):
                await late
            fake.gate.set()
            assert (await model.logits("5 5")).tolist() == [5, 2]

    awaited(work)


def test_an_error_reaches_every_call_of_the_batch_and_the_next_one_works() -> None:
    fake = Gated()
    fake.error = ValueError("out of memory")

    async def work() -> None:
        async with AsyncClassifier(fake, exact=False) as model:
            blocker = asyncio.create_task(model.logits("1"))
            await fake.busy()
            tasks = [asyncio.create_task(model.logits(["1 1", "1 1"])) for _ in range(2)]
            await all_waiting(model, 4)
            fake.gate.set()
            first, *found = await asyncio.gather(blocker, *tasks, return_exceptions=True)
            assert [repr(error) for error in (first, *found)] == [repr(fake.error)] * 3
            assert len({id(error.__traceback__) for error in (first, *found)}) == 3
            assert all(error.__cause__ is fake.error for error in found)
            fake.error = None
            assert (await model.logits("5 5")).tolist() == [5, 2]

    awaited(work)
    assert fake.ran == [[1], [2] * 4, [2]]


def test_an_error_with_arguments_of_its_own_reaches_the_caller_whole() -> None:
    fake = Gated()
    fake.error = MissingDependencyError("onnxruntime", "cpu", "running a bundle")
    fake.gate.set()

    async def work() -> None:
        async with AsyncClassifier(fake) as model:
            with pytest.raises(MissingDependencyError, match="pip install") as caught:
                await model.logits("1")
            assert caught.value is not fake.error
            assert caught.value.extra == "cpu"

    awaited(work)


@pytest.mark.parametrize("given", [0, 1, 3])
def test_a_wrong_number_of_answers_is_an_error_for_each_caller(given: int) -> None:
    class Miscounting(Gated):
        def infer(self, rows: Sequence[Row], *, exact: bool = False) -> Any:
            found = super().infer(rows, exact=exact)
            return np.resize(found, (given, 2)) if len(rows) == 2 else found

    fake = Miscounting()

    async def work() -> None:
        async with AsyncClassifier(fake, exact=False) as model:
            blocker = asyncio.create_task(model.logits("1 1 1 1"))
            await fake.busy()
            tasks = start(model, [2, 2])
            await all_waiting(model, 2)
            fake.gate.set()
            for error in await asyncio.gather(*tasks, return_exceptions=True):
                assert isinstance(error, BundleError)
                assert str(error).startswith(f"{given} answers to 2 texts")
            await blocker
            assert (await model.logits("5 5")).tolist() == [5, 2]

    awaited(work)


def test_what_is_refused_is_not_tokenized() -> None:
    class Counting(Gated):
        encoded = 0

        def encode(self, text: object, index: int = 0) -> Row:
            self.encoded += 1
            return super().encode(text, index)

    fake = Counting()

    async def work() -> None:
        async with AsyncClassifier(fake, queue=2) as model:
            first = start(model, [1])
            await fake.busy()
            second = start(model, [2])
            await all_waiting(model, 1)
            with pytest.raises(OverloadedError, match="1 texts are waiting"):
                await model.logits(["7", "7"])
            with pytest.raises(UsageError, match="3 texts in one call"):
                await model.logits(["7", "7", "7"])
            assert fake.encoded == 2
            fake.gate.set()
            await asyncio.gather(*first, *second)
        with pytest.raises(UsageError, match="is closed"):
            await model.logits("7")
        assert fake.encoded == 2

    awaited(work)


def test_what_is_no_text_is_named_and_harms_nobody() -> None:
    fake = Gated()
    fake.gate.set()

    async def work() -> None:
        async with AsyncClassifier(fake) as model:
            good = start(model, [1])
            with pytest.raises(UsageError, match="text 1 is of type NoneType"):
                await model(["1", None])  # type: ignore[list-item]
            for wrong in (None, b"bytes", 7, {"1"}):
                with pytest.raises(UsageError, match="not str or a list of str"):
                    await model(wrong)  # type: ignore[call-overload]
            for top_k in (0, -1):
                with pytest.raises(UsageError, match="top_k"):
                    await model("1", top_k=top_k)
            await asyncio.gather(*good)

    awaited(work)
    assert fake.ran == [[1]]


def test_leaving_answers_what_was_accepted() -> None:
    fake = Gated()

    async def work() -> None:
        async with AsyncClassifier(fake) as model:
            tasks = start(model, [1, 2, 3])
            await fake.busy()
            await all_waiting(model, 2)
            asyncio.get_running_loop().call_soon(fake.gate.set)
        assert all(task.done() for task in tasks)
        assert [task.result().tolist() for task in tasks] == [[0, 1], [1, 2], [2, 3]]
        with pytest.raises(UsageError, match="is closed"):
            await model("1")
        await model.close()

    awaited(work)


@pytest.mark.parametrize("how", ["close", "exception", "cancelled"])
def test_leaving_in_a_hurry_refuses_what_has_not_begun(how: str) -> None:
    fake = Gated()

    async def leave(model: AsyncClassifier, tasks: list[asyncio.Task[Any]]) -> None:
        async with model:
            tasks += start(model, [1, 2, 3])
            await fake.busy()
            await all_waiting(model, 2)
            if how != "cancelled":  # then the loop has no turn before the rest is refused
                asyncio.get_running_loop().call_soon(fake.gate.set)
            if how == "exception":
                raise ZeroDivisionError
            if how == "close":
                await model.close(drain=False)
                return
            closing = asyncio.create_task(model.close())
            await asyncio.sleep(0)
            closing.cancel()
            with pytest.raises(asyncio.CancelledError):
                await closing
            fake.gate.set()

    async def work() -> None:
        tasks: list[asyncio.Task[Any]] = []
        try:
            await leave(AsyncClassifier(fake), tasks)
        except ZeroDivisionError:
            assert how == "exception"
        assert (await tasks[0]).tolist() == [0, 1]
        for task in tasks[1:]:
            with pytest.raises(UsageError, match="closed before"):
                await task

    awaited(work)
    assert fake.ran == [[1]]


def test_a_worker_may_outlive_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Left while it infers, by a task that was cancelled twice."""
    fake, died = Gated(), []
    monkeypatch.setattr(threading, "excepthook", died.append)
    before = workers()

    async def work() -> None:
        model = await AsyncClassifier(fake).__aenter__()
        start(model, [1])
        await fake.busy()
        closing = asyncio.create_task(model.close())
        await asyncio.sleep(0)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing

    awaited(work)
    (left,) = workers() - before
    fake.gate.set()
    left.join(PATIENCE)
    assert not left.is_alive()
    assert died == []
    assert fake.ran == [[1]]


def workers() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name.startswith("edgepipe-worker")}


def test_no_thread_is_left() -> None:
    fake = Gated()
    fake.gate.set()
    before = workers()

    async def work() -> None:
        async with AsyncClassifier(fake, workers=4) as model:
            await asyncio.gather(*start(model, [1] * 20))

    awaited(work)
    for thread in workers() - before:
        thread.join(PATIENCE)
        assert not thread.is_alive()


def test_batches_are_told() -> None:
    fake = Gated()
    told: list[list[int]] = []

    def tell(lengths: Sequence[int]) -> None:
        told.append(list(lengths))

    awaited(lambda: run_behind(fake, [5, 6, 5], exact=False, on_batch=tell))
    assert told == [[1], [5, 5, 6]] == fake.ran


def test_it_belongs_to_one_event_loop() -> None:
    fake = Gated()
    model = AsyncClassifier(fake)
    with pytest.raises(UsageError, match="inside of 'async with'"):
        awaited(lambda: model.logits("1"))

    async def enter_twice() -> None:
        async with model:
            with pytest.raises(UsageError, match="once"):
                await model.__aenter__()

    awaited(enter_twice)
    with pytest.raises(UsageError, match="in that event loop"):
        awaited(lambda: model.logits("1"))


@pytest.mark.parametrize(
    "wrong", [{"workers": 0}, {"budget": 0}, {"queue": 0}, {"delay": -1}, {"delay": float("nan")}]
)
def test_a_setting_that_does_not_fit_is_named(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=f"{next(iter(wrong))} is "):
        AsyncClassifier(Gated(), **wrong)
