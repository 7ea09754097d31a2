from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from edgepipe.runtime import TextClassifier
from edgepipe.runtime.network import Logits
from edgepipe.serve.app import application
from edgepipe.serve.limits import Limits
from edgepipe.serve.service import Service
from tests.runtime.gated import Gated
from tests.serve.serving import JSON, Reply, asked, awaited, loaded, served

SMALL = Limits(body=200, texts=3, characters=20, seconds=60)


def predicted(
    gated: Gated,
    chunks: list[bytes],
    headers: list[tuple[bytes, bytes]] | None = None,
    limits: Limits = SMALL,
    **options: Any,
) -> Reply:
    """One request to /predict, with an open gate."""
    gated.gate.set()

    async def work() -> Reply:
        service = Service(limits)
        async with loaded(gated, service):
            app = application(service)
            return await asked(app, "POST", "/predict", chunks, headers or JSON, **options)

    found: Reply = awaited(work)
    return found


def text(length: int) -> bytes:
    """A request with a body of ``length`` bytes."""
    return json.dumps({"text": ""}).encode().ljust(length)


def test_a_body_up_to_the_limit_is_taken(gated: Gated) -> None:
    assert predicted(gated, [text(200)]).status == 200
    assert predicted(gated, [text(100), b" " * 99, b" "]).status == 200


@pytest.mark.parametrize(
    ("declared", "chunks"),
    [
        (b"201", [text(201)]),
        (None, [text(200), b" "]),
        (b"7", [text(200), b" "]),
        (b"9" * 5000, [b"{}"]),
        (b"801", [b"{}"]),
        (None, [b" "] * 10_000),
    ],
)
def test_a_larger_one_is_413(gated: Gated, declared: bytes | None, chunks: list[bytes]) -> None:
    length = [(b"content-length", declared)] if declared else []
    found = predicted(gated, chunks, [*JSON, *length])
    assert found.status == 413
    assert found.headers[b"connection"] == b"close"
    assert found.json() == {"error": "the body has more than 200 bytes"}


@pytest.mark.parametrize("declared", [b"", b"abc", b"-1", b"+5", "٣".encode(), b"1e3", b"0x10"])
def test_a_length_that_is_no_number_is_left_aside(gated: Gated, declared: bytes) -> None:
    found = predicted(gated, [b'{"text": "1"}'], [*JSON, (b"content-length", declared)])
    assert found.status == 200


def test_more_texts_or_longer_ones_are_413(gated: Gated) -> None:
    async def work() -> None:
        async with served(gated, SMALL) as (client, _):
            gated.gate.set()
            for size, status in ((3, 200), (4, 413)):
                texts = ["1"] * size
                tensor = {"name": "text", "shape": [size], "datatype": "BYTES", "data": texts}
                for path, body in (
                    ("/predict", {"texts": texts}),
                    ("/v2/models/tiny/infer", {"inputs": [tensor]}),
                ):
                    found = await client.post(path, json=body)
                    assert found.status_code == status
            for length, status in ((20, 200), (21, 413)):
                found = await client.post("/predict", json={"text": "1" * length})
                assert found.status_code == status

    awaited(work)


@pytest.mark.parametrize(
    "kind",
    [b"", b"text/plain", b"application/x-www-form-urlencoded", b"application/jsonp", b"json",
     b"multipart/form-data; boundary=application/json", b"\xff\xfe"],
)  # fmt: skip
def test_another_content_type_is_415(gated: Gated, kind: bytes) -> None:
    assert predicted(gated, [b'{"text": "1"}'], [(b"content-type", kind)]).status == 415


def test_no_content_type_is_415(gated: Gated) -> None:
    assert predicted(gated, [b'{"text": "1"}'], [(b"accept", b"*/*")]).status == 415


@pytest.mark.parametrize("kind", [b"application/json; charset=utf-8", b"Application/JSON"])
def test_json_may_be_spelt_otherwise(gated: Gated, kind: bytes) -> None:
    assert predicted(gated, [b'{"text": "1"}'], [(b"content-type", kind)]).status == 200


def test_a_packed_body_is_415(gated: Gated) -> None:
    packed = [*JSON, (b"content-encoding", b"gzip")]
    assert predicted(gated, [b"\x1f\x8b"], packed).status == 415


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"text", b"{'text': '1'}", b'{"text": "1"} x', b'{"text": NaN}',
        b'{"text": "1", "top_k": Infinity}', b'{"text": "1", "top_k": -Infinity}',
        b'\xef\xbb\xbf{"text": "1"}', b'{"text": "\xff"}', b'{"text": "\xed\xa0\x80"}',
        '{"text": "1"}'.encode("utf-16"), '{"text": "1"}'.encode("utf-32"),
        b'{"text": "1", "top_k": ' + b"9" * 5000 + b"}", b"[" * 100_000,
        b'{"text": ' * 50_000, b"[" * 50_000 + b"]" * 50_000, b"\x00",
    ],
)  # fmt: skip
def test_what_is_not_json_in_utf8_is_400(gated: Gated, body: bytes) -> None:
    found = predicted(gated, [body], limits=Limits())
    assert found.status == 400
    assert list(found.json()) == ["error"]


def test_a_body_that_does_not_come_is_408(gated: Gated) -> None:
    async def work() -> None:
        service = Service(Limits(seconds=0.05))
        never = asyncio.Event()
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            await never.wait()
            return {}

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {"type": "http", "method": "POST", "path": "/predict", "headers": JSON}
        async with loaded(gated, service):
            await application(service)(scope, receive, send)
        assert sent[0]["status"] == 408
        assert (b"connection", b"close") in sent[0]["headers"]

    awaited(work)


def test_a_client_that_leaves_in_the_middle_of_its_body(gated: Gated) -> None:
    assert predicted(gated, [b'{"text": "1'], broken_off=True).status == 499
    assert gated.ran == []


async def until(true: Callable[[], bool]) -> None:
    while not true():  # noqa: ASYNC110 - what is waited for tells of itself to nobody
        await asyncio.sleep(0)


def test_a_client_that_leaves_is_not_computed_for(gated: Gated) -> None:
    async def work() -> None:
        async with served(gated) as (client, service):
            assert service.loaded
            front = service.loaded.front
            blocker = asyncio.create_task(client.post("/predict", json={"text": "7"}))
            await gated.busy()
            left = await gone(application(service), front)
            assert left.status == 499
            await until(lambda: front.waiting == 0)
            gated.gate.set()
            assert (await blocker).status_code == 200

    awaited(work)
    assert gated.ran == [[1]]


async def gone(app: Any, front: Any) -> Reply:
    """What is sent to a client that leaves as soon as its text is waiting."""
    found = Reply()
    body = iter([{"type": "http.request", "body": b'{"text": "1 1 1"}', "more_body": False}])

    async def receive() -> dict[str, Any]:
        for message in body:
            return message
        await until(lambda: front.waiting == 1)
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        found.status = message.get("status", found.status)

    scope = {"type": "http", "method": "POST", "path": "/predict", "headers": JSON}
    await app(scope, receive, send)
    return found


def test_a_full_queue_is_503_at_once(gated: Gated) -> None:
    async def work() -> None:
        async with served(gated, queue=2) as (client, service):
            assert service.loaded
            front = service.loaded.front
            running = [asyncio.create_task(client.post("/predict", json={"text": "1"}))]
            await gated.busy()
            running.append(asyncio.create_task(client.post("/predict", json={"texts": ["2", "2"]})))
            await until(lambda: front.waiting == 2)
            tensor = {"name": "text", "shape": [1], "datatype": "BYTES", "data": ["3"]}
            for path, body in (
                ("/predict", {"text": "3"}),
                ("/v2/models/tiny/infer", {"inputs": [tensor]}),
            ):
                found = await client.post(path, json=body)
                assert (found.status_code, found.headers["retry-after"]) == (503, "1")
                assert "too many texts are waiting" in found.json()["error"]
            assert (await client.get("/ready")).status_code == 200  # busy, not broken
            gated.gate.set()
            assert [done.status_code for done in await asyncio.gather(*running)] == [200, 200]
            assert (await client.post("/predict", json={"text": "4"})).status_code == 200

    awaited(work)
    assert [length for batch in gated.ran for length in batch] == [1] * 4


def test_a_deadline_is_503_and_not_computed(gated: Gated) -> None:
    async def work() -> None:
        async with served(gated, Limits(seconds=1)) as (client, _):
            late = [
                await client.post("/predict", json={"text": words}) for words in ("1", "2 2", "3 3")
            ]
            for found in late:
                assert (found.status_code, found.headers["retry-after"]) == (503, "1")
                assert "no answer in time" in found.json()["error"]
            gated.gate.set()

    awaited(work)
    assert gated.ran == [[1]]  # the first had begun


class Broken(Gated):
    """Fails, or answers what is no number."""

    def infer(self, rows: Any, *, exact: bool = False) -> Logits:
        if rows[0].ids == [1]:
            raise RuntimeError("/secret/path/model.onnx: out of memory")
        return np.full((len(rows), 2), np.nan, np.float32)


def test_a_model_that_breaks_is_500_and_tells_nothing() -> None:
    async def work() -> None:
        broken = Broken()
        async with served(broken) as (client, service):
            app = application(service)
            for _ in range(2):
                found = Reply()
                with pytest.raises(RuntimeError, match="secret"):  # for the server's own log
                    await asked(app, "POST", "/predict", [b'{"text": "1"}'], into=found)
                assert found.status == 500
                assert found.json() == {"error": "internal error"}
            found = await asked(app, "POST", "/predict", [b'{"text": "2"}'])
            assert found.status == 500
            assert "no finite number" in found.json()["error"]
            assert (await client.get("/health")).status_code == 200

    awaited(work)


def test_errors_tell_no_path_no_version_and_no_server(classifier: TextClassifier) -> None:
    async def work() -> None:
        async with served(classifier) as (client, _):
            for path in ("/nowhere", "/predict/", "/v2/models/../../etc/passwd", "/page.html"):
                found = await client.get(path)
                assert found.status_code == 404
                assert found.json() == {"error": "Not Found"}
                assert "server" not in found.headers
                assert found.headers["x-content-type-options"] == "nosniff"

    awaited(work)


def test_every_answer_is_the_direct_one_whoever_asks_beside(classifier: TextClassifier) -> None:
    rng = np.random.default_rng(1)
    words = ["good", "bad", "film", "the", "very", "else"]
    texts = [" ".join(rng.choice(words, rng.integers(0, 14))) for _ in range(400)]
    wanted = [classifier(text, top_k=None) for text in texts]

    async def work() -> list[Any]:
        async with served(classifier, workers=2, queue=400) as (_, service):
            app = application(service)

            async def one(text: str) -> Any:
                body = json.dumps({"text": text, "top_k": None}).encode()
                return (await asked(app, "POST", "/predict", [body])).json()

            return await asyncio.gather(*map(one, texts))

    for answer, direct in zip(awaited(work), wanted, strict=True):
        assert [p["label"] for p in answer] == [p["label"] for p in direct]
        assert [p["score"] for p in answer] == pytest.approx([p["score"] for p in direct], rel=1e-5)
