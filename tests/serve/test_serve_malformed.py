"""Ten thousand requests that no program should send: none breaks the server."""

from __future__ import annotations

import collections
import json
import random
import re
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from edgepipe.runtime import TextClassifier
from edgepipe.serve.app import application
from edgepipe.serve.limits import Limits
from edgepipe.serve.service import Service
from tests.runtime.gated import PATIENCE
from tests.serve.serving import JSON, asked, awaited, listening, loaded

IN_PROCESS = 9_200
OVER_HTTP = 500
RAW = 300
LIMITS = Limits(body=8192, texts=8, characters=200)
INFER = "/v2/models/tiny/infer"
ODD = (
    None, True, False, 0, -1, 1.5, 1e308, 10**40, -(10**200), "", "text", "\ud800", "\x00", [], {},
    [[]], [None], [{}], {"": None}, [["a"], "b"], "x" * 300, ["a"] * 9, {"name": "text"}, "label",
)  # fmt: skip


@dataclass
class Wrong:
    """A request, and the statuses that may answer it."""

    statuses: set[int]
    body: bytes = b""
    method: str = "POST"
    path: str = "/predict"
    headers: list[tuple[bytes, bytes]] = field(default_factory=lambda: list(JSON))
    broken_off: bool = False


def body_of(rng: random.Random, path: str) -> dict[str, Any]:
    """What would be answered."""
    if path == "/predict":
        return {"texts": ["good film", "bad"], "top_k": 1} if rng.random() < 0.5 else {"text": "a"}
    tensor = {"name": "text", "shape": [2], "datatype": "BYTES", "data": ["good", "bad film"]}
    return {"id": "7", "inputs": [tensor], "outputs": [{"name": "label"}], "parameters": {}}


def encoded(value: object) -> bytes:
    return json.dumps(value).encode()


def broken_json(rng: random.Random, path: str) -> Wrong:
    whole = encoded(body_of(rng, path))
    cut = whole[: rng.randrange(len(whole))]
    noise = rng.randbytes(rng.randrange(1, 200))
    number = b'{"text": "a", "top_k": %s}'
    bodies = [
        cut,
        b"\xff" + noise,
        whole + b"]",
        b"[" * rng.randrange(2000, 4000),
        b'{"a":' * rng.randrange(500, 800),
        number % rng.choice([b"NaN", b"-Infinity", b"9" * 5000, b"0x1", b"01", b"1e"]),
        whole.replace(b'"', b"'"),
        whole.decode().encode(rng.choice(["utf-16", "utf-32", "utf-8-sig"])),
        whole.replace(b"a", b"\xed\xa0\x80"),
    ]
    return Wrong({400}, rng.choice(bodies), path=path)


def wrong_type(rng: random.Random, path: str) -> Wrong:
    """One value somewhere is another one; some of these may be right by chance."""
    body = body_of(rng, path)
    place: Any = body
    while True:
        key = rng.choice(list(place) if isinstance(place, dict) else range(len(place)))
        inner = place[key]
        if isinstance(inner, dict | list) and inner and rng.random() < 0.7:
            place = inner
            continue
        place[key] = rng.choice(ODD)
        return Wrong({200, 400, 413}, encoded(body), path=path)


def not_an_object(rng: random.Random, path: str) -> Wrong:
    value = rng.choice([value for value in ODD if not isinstance(value, dict)])
    return Wrong({400}, encoded(value), path=path)


def wrong_shape(rng: random.Random, path: str) -> Wrong:
    del path
    body = body_of(rng, INFER)
    shapes = ([], [1], [3], [2, 2], [0], [-2], [2, 1, 1], [10**30], [2.5], ["2"], None, 2, [[2]])
    body["inputs"][0]["shape"] = rng.choice(shapes)
    return Wrong({400}, encoded(body), path=INFER)


def odd_headers(rng: random.Random, path: str) -> Wrong:
    body = encoded(body_of(rng, path))
    kinds = [b"", b"text/json", b"application/json+x", b"\xff", b"a" * 3000, b"application / json"]
    choices: list[tuple[set[int], list[tuple[bytes, bytes]]]] = [
        ({415}, [(b"content-type", rng.choice(kinds))]),
        ({415}, []),
        ({415}, [*JSON, (b"content-encoding", rng.choice([b"gzip", b"br", b"\xff"]))]),
        ({413}, [*JSON, (b"content-length", b"9" * rng.randrange(6, 4000))]),
        ({200}, [*JSON, (b"content-length", rng.choice([b"-1", b"x", b"1.5", b"\xd9\xa3"]))]),
        ({200}, [*JSON, (b"x-" + rng.randbytes(9).hex().encode(), rng.randbytes(50))] * 20),
        ({200, 400}, [*JSON, (b"inference-header-content-length", b"1")]),
    ]
    statuses, headers = rng.choice(choices)
    return Wrong(statuses, body, path=path, headers=headers)


def wrong_route(rng: random.Random, path: str) -> Wrong:
    method = rng.choice(["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "X" * 99])
    if rng.random() < 0.5:
        return Wrong({405}, method=method, path=path)
    ends = ["/", "/..", "//", "/%2e%2e", "/\x00", "/é", "/" + "a" * 2000, "/infer/infer", "?"]
    return Wrong(
        {404}, method="POST", path=rng.choice(["/predict", INFER, "/v3"]) + rng.choice(ends)
    )


def oversized(rng: random.Random, path: str) -> Wrong:
    return Wrong({413}, b" " * rng.randrange(8193, 60_000), path=path)


def too_much(rng: random.Random, path: str) -> Wrong:
    texts = ["a"] * rng.randrange(9, 99) if rng.random() < 0.5 else ["a" * rng.randrange(201, 999)]
    body: dict[str, Any] = {"texts": texts}
    if path == INFER:
        body = body_of(rng, INFER)
        body["inputs"][0].update(data=texts, shape=[len(texts)])
    return Wrong({413}, encoded(body), path=path)


def half_sent(rng: random.Random, path: str) -> Wrong:
    whole = encoded(body_of(rng, path))
    return Wrong({499}, whole[: rng.randrange(len(whole))], path=path, broken_off=True)


KINDS: tuple[Callable[[random.Random, str], Wrong], ...] = (
    broken_json, broken_json, wrong_type, wrong_type, not_an_object, wrong_shape, odd_headers,
    wrong_route, oversized, too_much, half_sent,
)  # fmt: skip


def seeded(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - nothing here is secret


def one(rng: random.Random) -> Wrong:
    return rng.choice(KINDS)(rng, rng.choice(["/predict", INFER]))


def in_pieces(rng: random.Random, body: bytes) -> list[bytes]:
    """As a network may hand it over."""
    cuts = sorted(rng.randrange(len(body) + 1) for _ in range(rng.randrange(3)))
    return [body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True)]


def test_malformed_requests_in_process(classifier: TextClassifier) -> None:
    async def work() -> collections.Counter[int]:
        rng, counts = seeded(0), collections.Counter[int]()
        service = Service(LIMITS)
        async with loaded(classifier, service):
            app = application(service)
            for _ in range(IN_PROCESS):
                wrong = one(rng)
                pieces = in_pieces(rng, wrong.body)
                found = await asked(
                    app,
                    wrong.method,
                    wrong.path,
                    pieces,
                    wrong.headers,
                    broken_off=wrong.broken_off,
                )
                assert found.status in wrong.statuses, (wrong, found)
                if found.status != 200:
                    assert list(found.json()) == ["error"]
                    assert b"Traceback" not in found.body
                    assert b"edgepipe/" not in found.body
                counts[found.status] += 1
            well = await asked(app, "POST", "/predict", [b'{"text": "good film"}'])
            assert well.json() == classifier("good film")
        return counts

    counts = awaited(work)
    assert counts.keys() == {200, 400, 404, 405, 413, 415, 499}
    assert counts[200] < IN_PROCESS / 5  # nearly all of them were wrong indeed


def test_malformed_requests_over_a_socket(classifier: TextClassifier) -> None:
    rng = seeded(1)
    with (
        listening(classifier, LIMITS) as (port, _),
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE) as client,
    ):
        sent = 0
        while sent < OVER_HTTP:
            wrong = one(rng)
            if wrong.broken_off or not sendable(wrong):
                continue
            sent += 1
            found = client.request(
                wrong.method,
                httpx.URL("http://x").copy_with(path=wrong.path).raw_path.decode(),
                headers=wrong.headers,
                content=iter(in_pieces(rng, wrong.body)) if rng.random() < 0.5 else wrong.body,
            )
            assert found.status_code in wrong.statuses, (wrong, found)
        assert client.post("/predict", json={"text": "good"}).json() == classifier("good")


def sendable(wrong: Wrong) -> bool:
    """What httpx itself would send: no invented lengths, no broken lines."""
    names = {name for name, _ in wrong.headers}
    plain = (
        wrong.path.isascii()
        and wrong.path.isprintable()
        and not re.search(r"\?|\.\.|//", wrong.path)
    )
    values = all(value.isascii() and value.decode().isprintable() for _, value in wrong.headers)
    return plain and values and b"content-length" not in names and wrong.method != "CONNECT"


def garbage(rng: random.Random) -> bytes:
    """Bytes on a fresh connection."""
    body = encoded(body_of(rng, "/predict"))
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    return rng.choice(
        [
            rng.randbytes(rng.randrange(1, 2000)),
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + rng.randbytes(300),  # TLS
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + rng.randbytes(50),
            b"GET /health HTTP/9.9\r\n\r\n",
            b"GET  /health\r\n\r\n",
            b"GET /health HTTP/1.1\r\n\r\n",  # no Host
            b"A" * 70_000,
            head + b"X: " + b"y" * 70_000,
            head + b"\r\n" + body,  # no length
            head + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n" + body,
            head + b"Content-Length: -5\r\n\r\n" + body,
            head + b"Content-Length: %d\r\n\r\n" % (len(body) + 9) + body,  # half sent
            head + b"Content-Length: 3\r\n\r\n" + body,  # the rest is no request
            head + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n" + body,
            head + b'Transfer-Encoding: chunked\r\n\r\n5\r\n{"te\r\n',
            head + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
            head + b"Transfer-Encoding: gzip\r\n\r\n" + body,
            head + b"Header with spaces: 1\r\n\r\n",
            head + b"X: a\r\n b\r\nY: \x00\r\n\r\n",
            head[: rng.randrange(1, len(head))],
            b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
            b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n" * 50,
        ]
    )


def exchanged(port: int, data: bytes, *, reset: bool) -> bytes:
    """What comes back before this side leaves, politely or not."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as wire:
        try:
            wire.sendall(data)
            if reset:
                return b""
            wire.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: wire.recv(65536), b""))
        except (ConnectionResetError, BrokenPipeError):
            return b""


def test_garbage_on_a_socket(classifier: TextClassifier) -> None:
    rng = seeded(2)
    counts = collections.Counter[bytes]()
    with listening(classifier, LIMITS) as (port, service):
        for _ in range(RAW):
            back = exchanged(port, garbage(rng), reset=rng.random() < 0.2)
            assert back[:9] in (b"", b"HTTP/1.1 ")
            counts[back[9:12]] += 1
            assert b"Traceback" not in back
            assert b"server:" not in back.lower()
        found = httpx.post(f"http://127.0.0.1:{port}/predict", json={"text": "good"})
        assert found.json() == classifier("good")
        assert service.cut == 0
    assert not any(status.startswith(b"5") for status in counts)
    assert counts[b"400"] > RAW / 5


@pytest.mark.parametrize("seed", range(3))
def test_the_generator_makes_what_it_says(seed: int) -> None:
    """Without the mistake the same bodies are answered: it is the mistake that is refused."""
    rng = seeded(seed)
    assert json.loads(encoded(body_of(rng, INFER)))["inputs"][0]["shape"] == [2]
    kinds = collections.Counter(one(rng).statuses == {400} for _ in range(1000))
    assert 200 < kinds[True] < 700
