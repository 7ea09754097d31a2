"""The model behind the routes: whether it takes requests, and texts in, logits out."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from starlette.requests import Request

from edgepipe.errors import DeadlineError, OverloadedError, UsageError
from edgepipe.runtime.aio import AsyncClassifier, Inferring
from edgepipe.runtime.network import Logits
from edgepipe.serve.attention import Attended
from edgepipe.serve.exchange import RETRY, RefusedError, read_json
from edgepipe.serve.limits import Limits
from edgepipe.serve.metrics import Metrics


@dataclass(frozen=True)
class Loaded:
    """A model that takes requests."""

    name: str
    labels: tuple[str, ...]
    classifier: Inferring
    front: AsyncClassifier


class Service:
    """What all routes share. ``loaded`` is None until the model is there."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.metrics = Metrics(lambda: self.loaded.front.waiting if self.loaded else 0)
        self.loaded: Loaded | None = None
        self.draining = False
        self.cut = 0
        """Requests that were given up because the server could not wait any longer."""

    @property
    def ready(self) -> bool:
        """Whether a request sent now would be taken."""
        return self.loaded is not None and not self.draining

    def model(self) -> Loaded:
        """The model, if it takes requests; RefusedError 503 while it loads and when it leaves."""
        if self.loaded is None:
            raise RefusedError(503, "the model is still loading", RETRY)
        if self.draining:
            raise RefusedError(503, "the server is shutting down", RETRY)
        return self.loaded

    async def read(self, request: Request) -> tuple[object, float]:
        """The body's value, and the second of the monotonic clock by which to answer."""
        due = time.monotonic() + self.limits.seconds
        return await read_json(request, self.limits), due

    async def logits(
        self, request: Request, model: Loaded, texts: Sequence[str], due: float
    ) -> Logits:
        """Float32 [texts, labels]. Raises RefusedError, and stops waiting when the client goes."""
        with Attended(request):
            try:
                return _finite(await model.front.logits(texts, timeout=due - time.monotonic()))
            except OverloadedError as error:
                message = "too many texts are waiting; try again later"
                raise RefusedError(503, message, RETRY) from error
            except DeadlineError as error:
                raise RefusedError(503, "no answer in time; try again later", RETRY) from error
            except UsageError as error:
                raise RefusedError(400, str(error)) from error

    def texts(self, found: object, where: str) -> list[str]:
        """``found`` as a list of texts within the limits; RefusedError otherwise."""
        if not isinstance(found, list):
            raise RefusedError(400, f"{where} is not a list of strings")
        if len(found) > self.limits.texts:
            raise RefusedError(413, f"more than {self.limits.texts} texts in one request")
        for index, text in enumerate(found):
            if not isinstance(text, str):
                raise RefusedError(400, f"text {index} is not a string")
            if len(text) > self.limits.characters:
                raise RefusedError(
                    413, f"text {index} has more than {self.limits.characters} characters"
                )
        return found


def _finite(logits: Logits) -> Logits:
    if not np.isfinite(logits).all():
        raise RefusedError(500, "the model gave no finite number for this input")
    return logits


def mapping(found: object, where: str) -> dict[str, Any]:
    """``found`` as a JSON object; RefusedError 400 otherwise."""
    if not isinstance(found, dict):
        raise RefusedError(400, f"{where} is not an object")
    return found
