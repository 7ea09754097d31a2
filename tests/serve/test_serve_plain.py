from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from typing import Any

import httpx
import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from edgepipe.runtime import TextClassifier
from edgepipe.serve.app import application
from edgepipe.serve.limits import Limits
from edgepipe.serve.service import Service
from tests.runtime.gated import Gated
from tests.runtime.tiny_onnx import Tiny
from tests.serve.serving import asked, awaited, served

KIND = {"Content-Type": "application/json"}
TEXTS = ["good film", "bad", "the very very bad plot", ""]


def expected(tiny: Tiny, text: str) -> list[dict[str, Any]]:
    """All labels, best first, by numpy."""
    logits = tiny.logits(text)
    shares = np.exp(logits) / np.exp(logits).sum()
    return [
        {"label": tiny.labels[n], "score": pytest.approx(float(shares[n]), abs=1e-5)}
        for n in np.argsort(-shares)
    ]


def posted(classifier: TextClassifier, *bodies: object) -> list[httpx.Response]:
    async def work() -> list[httpx.Response]:
        async with served(classifier) as (client, _):
            return [
                await client.post("/predict", content=json.dumps(body), headers=KIND)
                for body in bodies
            ]

    found: list[httpx.Response] = awaited(work)
    return found


def test_answers_have_the_shapes_of_a_transformers_pipeline(
    classifier: TextClassifier, tiny: Tiny
) -> None:
    one, many, ranked, everything = posted(
        classifier,
        {"text": TEXTS[0]},
        {"texts": TEXTS},
        {"text": TEXTS[2], "top_k": 2},
        {"texts": TEXTS, "top_k": None},
    )
    assert one.json() == expected(tiny, TEXTS[0])[:1]
    assert many.json() == [expected(tiny, text)[0] for text in TEXTS]
    assert ranked.json() == expected(tiny, TEXTS[2])[:2]
    assert everything.json() == [expected(tiny, text) for text in TEXTS]


def test_no_text_is_no_answer_and_no_mistake(classifier: TextClassifier) -> None:
    (found,) = posted(classifier, {"texts": []})
    assert (found.status_code, found.json()) == (200, [])


@pytest.mark.parametrize(
    "body",
    [
        None, 7, "text", ["text"], {}, {"text": None}, {"text": ["a"]}, {"texts": "a"},
        {"texts": ["a", 1]}, {"text": "a", "texts": ["b"]}, {"text": "a", "topk": 1},
        {"text": "a", "top_k": 0}, {"text": "a", "top_k": True}, {"text": "a", "top_k": 1.0},
        {"text": "a", "top_k": "1"}, {"text": "a", "top_k": -(10**30)},
    ],
)  # fmt: skip
def test_what_does_not_fit_is_400(classifier: TextClassifier, body: object) -> None:
    (found,) = posted(classifier, body)
    assert found.status_code == 400
    assert list(found.json()) == ["error"]


def test_a_lone_surrogate_is_400(classifier: TextClassifier) -> None:
    async def work() -> None:
        async with served(classifier) as (_, service):
            body = b'{"texts": ["good", "\\ud800"]}'
            found = await asked(application(service), "POST", "/predict", [body])
            assert found.status == 400
            assert "text 1 holds a lone surrogate" in found.json()["error"]

    awaited(work)


def test_text_beyond_ascii_is_taken_and_given_back(classifier: TextClassifier) -> None:
    one, other = posted(classifier, {"text": "日本 naïve 🎬"}, {"text": "x y z"})
    assert one.json() == other.json()  # three unknown words each


def test_ready_and_alive_while_loading_and_leaving(gated: Gated) -> None:
    async def work() -> None:
        service = Service(Limits())
        app = application(service)
        for path in ("/ready", "/v2/health/ready", "/v2/models/tiny/ready", "/v2/models/tiny"):
            assert (await asked(app, "GET", path)).status == 503
        refused = await asked(app, "POST", "/predict", [b'{"text": "1"}'])
        assert (refused.status, refused.headers[b"retry-after"]) == (503, b"1")
        for path in ("/health", "/v2/health/live", "/v2", "/metrics", "/"):
            assert (await asked(app, "GET", path)).status == 200

        async with served(gated) as (client, service):
            for path in ("/ready", "/v2/health/ready", "/v2/models/tiny/ready"):
                assert (await client.get(path)).json()["ready"] is True
            service.draining = True
            for path in ("/ready", "/v2/health/ready", "/v2/models/tiny/ready"):
                found = await client.get(path)
                assert (found.status_code, found.json()["ready"]) == (503, False)
            assert (await client.get("/health")).status_code == 200
            refused = await client.post("/predict", json={"text": "1"})
            assert refused.status_code == 503
            assert refused.headers["connection"] == "close"

    awaited(work)


def test_metrics_count_what_happened(gated: Gated) -> None:
    async def work() -> dict[tuple[str, str, str], float]:
        async with served(gated, exact=False) as (client, _):
            first = asyncio.create_task(client.post("/predict", json={"text": "1 1 1"}))
            await gated.busy()
            second = asyncio.create_task(client.post("/predict", json={"texts": ["1 1", "2 2"]}))
            while "edgepipe_waiting_texts 2.0" not in (page := await client.get("/metrics")).text:
                assert page.headers["content-type"].startswith("text/plain")
                await asyncio.sleep(0)
            gated.gate.set()
            await asyncio.gather(first, second)
            await client.get("/predict")
            await client.get("/some/other/path")
            page = await client.get("/metrics")
        return {
            (sample.name, sample.labels.get("route", ""), sample.labels.get("status", "")): (
                sample.value
            )
            for family in text_string_to_metric_families(page.text)
            for sample in family.samples
            if "le" not in sample.labels
        }

    found = awaited(work)
    assert found["edgepipe_requests_total", "/predict", "200"] == 2
    assert found["edgepipe_requests_total", "/predict", "405"] == 1
    assert found["edgepipe_requests_total", "other", "404"] == 1
    assert found["edgepipe_request_seconds_count", "/predict", ""] == 3
    assert found["edgepipe_batch_texts_count", "", ""] == 2
    assert found["edgepipe_batch_texts_sum", "", ""] == 3
    assert found["edgepipe_tokens_total", "", ""] == 7
    assert found["edgepipe_waiting_texts", "", ""] == 0


class Page(HTMLParser):
    """Tags with their attributes, and what is inside of style and script."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.inside: dict[str, str] = {}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1][0] in ("style", "script"):
            self.inside.setdefault(self.tags[-1][0], data)


def test_the_page_reaches_this_server_and_nothing_else(gated: Gated) -> None:
    async def work() -> httpx.Response:
        async with served(gated) as (client, _):
            return await client.get("/")

    found = awaited(work)
    assert found.headers["content-type"] == "text/html; charset=utf-8"
    policy = dict(
        part.split(" ", 1) for part in found.headers["content-security-policy"].split("; ")
    )
    assert policy["default-src"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert policy["connect-src"] == "'self'"
    page = Page(found.text)
    for tag in ("style", "script"):
        digest = base64.b64encode(hashlib.sha256(page.inside[tag].encode()).digest()).decode()
        assert policy[f"{tag}-src"] == f"'sha256-{digest}'"
    for tag, attributes in page.tags:
        assert "style" not in attributes  # the policy would block it
        assert not any(name.startswith("on") for name in attributes)
        assert attributes.get("href", "data:,") == "data:,", tag
        assert "src" not in attributes
    script = page.inside["script"]
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval", script)
    assert set(re.findall(r"fetch\(\"(.*?)\"", script)) == {"predict", "ready"}
