"""The routes of edgepipe's own: answers as transformers pipelines shape them, and health."""

from __future__ import annotations

import base64
import hashlib
import importlib.resources
import re

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from edgepipe.serve.exchange import RefusedError, reply
from edgepipe.serve.metrics import CONTENT_TYPE
from edgepipe.serve.service import Service, mapping

_FIELDS = {"text", "texts", "top_k"}


class Plain:
    """``/predict``, ``/health``, ``/ready``, ``/metrics`` and the page at ``/``."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._page = importlib.resources.files(__package__).joinpath("page.html").read_bytes()
        self._policy = _content_policy(self._page.decode())

    def routes(self) -> list[Route]:
        """For a Starlette application."""
        return [
            Route("/", self.page),
            Route("/predict", self.predict, methods=["POST"]),
            Route("/health", self.health),
            Route("/ready", self.ready),
            Route("/metrics", self.metrics),
        ]

    async def predict(self, request: Request) -> Response:
        """Answers as a transformers pipeline gives them to a text, or to a list of texts."""
        model = self._service.model()
        body, due = await self._service.read(request)
        fields = mapping(body, "the body")
        texts, single = self._texts(fields)
        top_k = _top_k(fields)
        logits = await self._service.logits(request, model, texts, due)
        if "top_k" not in fields:
            return reply(model.classifier.best(logits))
        ranked = model.classifier.ranked(logits, top_k)
        return reply(ranked[0] if single else ranked)

    async def health(self, request: Request) -> Response:
        """200 as long as the server runs at all."""
        del request
        return reply({"live": True})

    async def ready(self, request: Request) -> Response:
        """200 when requests are taken, 503 while the model loads and when the server leaves."""
        del request
        loaded, ready = self._service.loaded, self._service.ready
        name = {"model": loaded.name, "labels": len(loaded.labels)} if loaded else {}
        return reply({"ready": ready, **name}, 200 if ready else 503)

    async def metrics(self, request: Request) -> Response:
        """Prometheus' text format."""
        del request
        return Response(self._service.metrics.text(), media_type=CONTENT_TYPE)

    async def page(self, request: Request) -> Response:
        """A page to try the model, which can reach this server and nothing else."""
        del request
        headers = {"Content-Security-Policy": self._policy, "Referrer-Policy": "no-referrer"}
        return Response(self._page, headers=headers, media_type="text/html")

    def _texts(self, fields: dict[str, object]) -> tuple[list[str], bool]:
        unknown = fields.keys() - _FIELDS
        if unknown or ("text" in fields) == ("texts" in fields):
            raise RefusedError(400, 'send {"text": …} or {"texts": […]}, with or without "top_k"')
        if "text" in fields:
            return self._service.texts([fields["text"]], "text"), True
        return self._service.texts(fields["texts"], "texts"), False


def _top_k(fields: dict[str, object]) -> int | None:
    top_k = fields.get("top_k")
    if top_k is None:
        return None
    if not isinstance(top_k, int) or isinstance(top_k, bool) or top_k < 1:
        raise RefusedError(400, "top_k is not a whole number from 1 on, or null")
    return top_k


def _content_policy(page: str) -> str:
    """Only the page's own style and script, named by their hashes, and this server."""
    allowed = [
        f"{kind}-src " + " ".join(f"'sha256-{_hash(text)}'" for text in _inner(page, tag))
        for kind, tag in (("style", "style"), ("script", "script"))
    ]
    here = ("img-src data:", "connect-src 'self'")
    none = ("base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'")
    return "; ".join(["default-src 'none'", *allowed, *here, *none])


def _inner(page: str, tag: str) -> list[str]:
    return re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
