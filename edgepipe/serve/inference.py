"""The Open Inference Protocol, version 2, over HTTP with JSON.

The specification: https://github.com/kserve/open-inference-protocol, ``inference_rest.md``. The
extension that sends tensors as raw bytes behind the JSON is not supported, and says so.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

import edgepipe
from edgepipe.runtime.network import Logits
from edgepipe.serve.exchange import RefusedError, reply
from edgepipe.serve.service import Loaded, Service, mapping

VERSION = "1"
"""Of the model: a server has one, and its bundle is the only version of it."""
_MODEL = "/v2/models/{name}"
_OUTPUTS = ("label", "score", "logits")
_BINARY = "binary tensor data is not supported: send and ask for JSON alone"


class OpenInference:
    """``/v2`` and all below it: an input ``text``; outputs ``label``, ``score`` and ``logits``."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def routes(self) -> list[Route]:
        """For a Starlette application."""
        models = (_MODEL, _MODEL + "/versions/{version}")
        return [
            Route("/v2", self.server),
            Route("/v2/health/live", self.live),
            Route("/v2/health/ready", self.ready),
            *(Route(model, self.metadata) for model in models),
            *(Route(f"{model}/ready", self.model_ready) for model in models),
            *(Route(f"{model}/infer", self.infer, methods=["POST"]) for model in models),
        ]

    async def server(self, request: Request) -> Response:
        """What the server is called."""
        del request
        return reply({"name": "edgepipe", "version": edgepipe.__version__, "extensions": []})

    async def live(self, request: Request) -> Response:
        """200 as long as the server runs at all."""
        del request
        return reply({"live": True})

    async def ready(self, request: Request) -> Response:
        """200 when requests are taken. The specification says ``live``, its schema ``ready``."""
        del request
        ready = self._service.ready
        return reply({"ready": ready, "live": True}, 200 if ready else 503)

    async def metadata(self, request: Request) -> Response:
        """Inputs and outputs of the model."""
        model = self._named(request)
        shapes = {"label": [-1], "score": [-1], "logits": [-1, len(model.labels)]}
        outputs = [
            {"name": name, "datatype": _datatype(name), "shape": shapes[name]} for name in _OUTPUTS
        ]
        return reply(
            {
                "name": model.name,
                "versions": [VERSION],
                "platform": "onnx_onnxv1",
                "inputs": [{"name": "text", "datatype": "BYTES", "shape": [-1]}],
                "outputs": outputs,
            }
        )

    async def model_ready(self, request: Request) -> Response:
        """200 when the model takes requests."""
        model, ready = self._named(request), self._service.ready
        return reply({"name": model.name, "ready": ready}, 200 if ready else 503)

    async def infer(self, request: Request) -> Response:
        """The outputs that were asked for, or all."""
        self._service.model()
        model = self._named(request)
        if "inference-header-content-length" in request.headers:
            raise RefusedError(400, _BINARY)
        body, due = await self._service.read(request)
        wanted = self._parse(mapping(body, "the body"))
        logits = await self._service.logits(request, model, wanted.texts, due)
        content = {
            "model_name": model.name,
            "model_version": VERSION,
            "outputs": _outputs(model, wanted.outputs, logits),
        }
        return reply(content if wanted.id is None else {**content, "id": wanted.id})

    def _named(self, request: Request) -> Loaded:
        """The model that the path names, whether it is ready or not."""
        loaded = self._service.loaded or self._service.model()
        version = request.path_params.get("version", VERSION)
        if (request.path_params["name"], version) != (loaded.name, VERSION):
            raise RefusedError(404, "there is no such model, or no such version of it")
        return loaded

    def _parse(self, body: dict[str, Any]) -> _Wanted:
        if not isinstance(body.get("id", ""), str):
            raise RefusedError(400, "id is not a string")
        if _parameters(body, "the request").get("binary_data_output"):
            raise RefusedError(400, _BINARY)
        return _Wanted(body.get("id"), self._input(body.get("inputs")), _names(body))

    def _input(self, found: object) -> list[str]:
        if not isinstance(found, list) or len(found) != 1:
            raise RefusedError(400, "inputs is not a list of one tensor, called text")
        tensor = mapping(found[0], "the input")
        if "binary_data_size" in _parameters(tensor, "the input"):
            raise RefusedError(400, _BINARY)
        if tensor.get("name") != "text" or tensor.get("datatype") != "BYTES":
            raise RefusedError(400, "the input is not called text, or its datatype is not BYTES")
        texts = self._service.texts(_flat(tensor.get("data")), "data")
        _check_shape(tensor.get("shape"), len(texts))
        return texts


@dataclass(frozen=True)
class _Wanted:
    """One inference request."""

    id: str | None
    texts: list[str]
    outputs: tuple[str, ...]


def _names(body: dict[str, Any]) -> tuple[str, ...]:
    """Outputs asked for, in that order."""
    found = body.get("outputs")
    if found is None:
        return _OUTPUTS
    if not isinstance(found, list):
        raise RefusedError(400, "outputs is not a list")
    names = [_name(mapping(output, "an output")) for output in found]
    if len(set(names)) != len(names):
        raise RefusedError(400, "an output is asked for twice")
    return tuple(names) or _OUTPUTS


def _name(output: dict[str, Any]) -> str:
    if _parameters(output, "an output").get("binary_data"):
        raise RefusedError(400, _BINARY)
    name = output.get("name")
    if not isinstance(name, str) or name not in _OUTPUTS:
        raise RefusedError(400, f"an output is none of {', '.join(_OUTPUTS)}")
    return name


def _parameters(found: dict[str, Any], where: str) -> dict[str, Any]:
    return mapping(found.get("parameters", {}), f"parameters of {where}")


def _flat(data: object) -> object:
    """``[["a"], ["b"]]``, as a tensor of shape [2, 1] may be written, like ``["a", "b"]``."""
    if isinstance(data, list) and data and all(isinstance(row, list) for row in data):
        return [item for row in data for item in row]
    return data


def _check_shape(shape: object, count: int) -> None:
    """[n] or [n, 1], as many as there are."""
    sizes = shape if isinstance(shape, list) else []
    numbers = all(isinstance(size, int) and not isinstance(size, bool) for size in sizes)
    if not sizes or not numbers or sizes[1:] not in ([], [1]) or math.prod(sizes) != count:
        raise RefusedError(400, "shape is not [n], with n the number of strings in data")


def _outputs(model: Loaded, names: tuple[str, ...], logits: Logits) -> list[dict[str, object]]:
    best = model.classifier.best(logits)
    count, labels = logits.shape
    tensors: dict[str, tuple[list[int], list[Any]]] = {
        "label": ([count], [answer["label"] for answer in best]),
        "score": ([count], [answer["score"] for answer in best]),
        "logits": ([count, labels], logits.ravel().tolist()),
    }
    return [
        {"name": name, "datatype": _datatype(name), "shape": shape, "data": data}
        for name, (shape, data) in ((name, tensors[name]) for name in names)
    ]


def _datatype(name: str) -> str:
    return "BYTES" if name == "label" else "FP32"
