"""The Open Inference Protocol, as kserve/open-inference-protocol inference_rest.md has it."""

from __future__ import annotations

from typing import Any

import httpx
import numpy as np
import pytest

import edgepipe
from edgepipe.runtime import TextClassifier
from tests.runtime.tiny_onnx import Tiny
from tests.serve.serving import awaited, served

TEXTS = ["good film", "the very very bad plot"]
MODEL = "/v2/models/tiny"


def tensor(**changes: Any) -> dict[str, Any]:
    return {"name": "text", "shape": [2], "datatype": "BYTES", "data": TEXTS, **changes}


def asked(
    classifier: TextClassifier, method: str, path: str, body: object = None, **headers: str
) -> httpx.Response:
    async def work() -> httpx.Response:
        async with served(classifier) as (client, _):
            given = {} if body is None else {"json": body}
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            return await client.request(method, path, headers=named, **given)  # type: ignore[arg-type]

    found: httpx.Response = awaited(work)
    return found


def by_numpy(tiny: Tiny) -> dict[str, dict[str, Any]]:
    logits = np.stack([tiny.logits(text) for text in TEXTS])
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = [tiny.labels[n] for n in shares.argmax(axis=1)]
    return {
        "label": {"name": "label", "datatype": "BYTES", "shape": [2], "data": labels},
        "score": {
            "name": "score",
            "datatype": "FP32",
            "shape": [2],
            "data": pytest.approx(shares.max(axis=1).tolist(), abs=1e-5),
        },
        "logits": {
            "name": "logits",
            "datatype": "FP32",
            "shape": [2, 3],
            "data": pytest.approx(logits.ravel().tolist(), abs=1e-5),
        },
    }


@pytest.mark.parametrize("path", [MODEL, f"{MODEL}/versions/1"])
def test_all_outputs_come_unless_some_are_asked_for(
    classifier: TextClassifier, tiny: Tiny, path: str
) -> None:
    found = asked(classifier, "POST", f"{path}/infer", {"id": "4 2", "inputs": [tensor()]})
    assert found.status_code == 200
    assert found.json() == {
        "model_name": "tiny",
        "model_version": "1",
        "id": "4 2",
        "outputs": list(by_numpy(tiny).values()),
    }


@pytest.mark.parametrize("names", [["logits"], ["score", "label"], []])
def test_outputs_asked_for_come_in_that_order(
    classifier: TextClassifier, tiny: Tiny, names: list[str]
) -> None:
    body = {"inputs": [tensor()], "outputs": [{"name": name} for name in names]}
    found = asked(classifier, "POST", f"{MODEL}/infer", body).json()
    wanted = by_numpy(tiny)
    assert found["outputs"] == [wanted[name] for name in names or wanted]
    assert "id" not in found


def test_a_tensor_may_be_written_as_a_column(classifier: TextClassifier, tiny: Tiny) -> None:
    column = tensor(shape=[2, 1], data=[[text] for text in TEXTS])
    found = asked(classifier, "POST", f"{MODEL}/infer", {"inputs": [column]}).json()
    assert found["outputs"] == list(by_numpy(tiny).values())


def test_an_empty_tensor_gives_empty_tensors(classifier: TextClassifier) -> None:
    body = {"inputs": [tensor(shape=[0], data=[])]}
    found = asked(classifier, "POST", f"{MODEL}/infer", body).json()
    assert [(t["shape"], t["data"]) for t in found["outputs"]] == [
        ([0], []),
        ([0], []),
        ([0, 3], []),
    ]


def test_parameters_that_nobody_knows_are_left_aside(classifier: TextClassifier) -> None:
    more = {"parameters": {"priority": 1, "binary_data_output": False}}
    body = {"inputs": [tensor(**more)], "outputs": [{"name": "label", **more}], **more}
    assert asked(classifier, "POST", f"{MODEL}/infer", body).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        [], {}, {"inputs": []}, {"inputs": {}}, {"inputs": [7]}, {"inputs": [tensor(), tensor()]},
        {"inputs": [tensor(name="texts")]}, {"inputs": [tensor(datatype="FP32")]},
        {"inputs": [tensor(shape=[3])]}, {"inputs": [tensor(shape=[])]},
        {"inputs": [tensor(shape=[1, 2])]}, {"inputs": [tensor(shape=[2, 1, 1])]},
        {"inputs": [tensor(shape=[2.0])]}, {"inputs": [tensor(shape=["2"])]},
        {"inputs": [tensor(shape=[True, True])]}, {"inputs": [tensor(shape=None)]},
        {"inputs": [tensor(shape=[-2])]}, {"inputs": [tensor(shape=[10**300])]},
        {"inputs": [tensor(data="text")]}, {"inputs": [tensor(data=None)]},
        {"inputs": [tensor(data=[1, 2])]}, {"inputs": [tensor(data=[[["a"]], [["b"]]])]},
        {"inputs": [tensor(data=["a", ["b"]])]}, {"inputs": [tensor(parameters=[])]},
        {"inputs": [tensor()], "id": 42}, {"inputs": [tensor()], "parameters": 1},
        {"inputs": [tensor()], "outputs": "label"}, {"inputs": [tensor()], "outputs": [7]},
        {"inputs": [tensor()], "outputs": [{}]}, {"inputs": [tensor()], "outputs": [{"name": "x"}]},
        {"inputs": [tensor()], "outputs": [{"name": ["label"]}]},
        {"inputs": [tensor()], "outputs": [{"name": "label"}, {"name": "label"}]},
    ],
)  # fmt: skip
def test_what_does_not_fit_is_400(classifier: TextClassifier, body: object) -> None:
    found = asked(classifier, "POST", f"{MODEL}/infer", body)
    assert found.status_code == 400
    assert list(found.json()) == ["error"]


@pytest.mark.parametrize(
    "body",
    [
        {"inputs": [{"name": "text", "shape": [1], "datatype": "BYTES",
                     "parameters": {"binary_data_size": 9}}]},
        {"inputs": [tensor()], "outputs": [{"name": "label", "parameters": {"binary_data": True}}]},
        {"inputs": [tensor()], "parameters": {"binary_data_output": True}},
    ],
)  # fmt: skip
def test_the_binary_extension_is_refused_by_name(classifier: TextClassifier, body: object) -> None:
    found = asked(classifier, "POST", f"{MODEL}/infer", body)
    assert found.status_code == 400
    assert "binary tensor data is not supported" in found.json()["error"]


def test_the_header_of_the_binary_extension_is_refused(classifier: TextClassifier) -> None:
    found = asked(
        classifier, "POST", f"{MODEL}/infer", {"inputs": [tensor()]},
        inference_header_content_length="99", content_type="application/json",
    )  # fmt: skip
    assert found.status_code == 400
    assert "binary" in found.json()["error"]


@pytest.mark.parametrize(
    "path",
    ["/v2/models/other", "/v2/models/Tiny", f"{MODEL}/versions/2", f"{MODEL}/versions/01", "/v2/"],
)
def test_an_unknown_model_or_version_is_404(classifier: TextClassifier, path: str) -> None:
    assert asked(classifier, "GET", path).status_code == 404
    assert asked(classifier, "GET", f"{path}/ready").status_code == 404
    assert asked(classifier, "POST", f"{path}/infer", {"inputs": [tensor()]}).status_code == 404


def test_metadata(classifier: TextClassifier) -> None:
    server = asked(classifier, "GET", "/v2").json()
    assert server == {"name": "edgepipe", "version": edgepipe.__version__, "extensions": []}
    for path in (MODEL, f"{MODEL}/versions/1"):
        assert asked(classifier, "GET", path).json() == {
            "name": "tiny",
            "versions": ["1"],
            "platform": "onnx_onnxv1",
            "inputs": [{"name": "text", "datatype": "BYTES", "shape": [-1]}],
            "outputs": [
                {"name": "label", "datatype": "BYTES", "shape": [-1]},
                {"name": "score", "datatype": "FP32", "shape": [-1]},
                {"name": "logits", "datatype": "FP32", "shape": [-1, 3]},
            ],
        }


def test_health(classifier: TextClassifier) -> None:
    assert asked(classifier, "GET", "/v2/health/live").json() == {"live": True}
    assert asked(classifier, "GET", "/v2/health/ready").json() == {"live": True, "ready": True}
    for path in (MODEL, f"{MODEL}/versions/1"):
        found = asked(classifier, "GET", f"{path}/ready")
        assert (found.status_code, found.json()) == (200, {"name": "tiny", "ready": True})


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", f"{MODEL}/infer"), ("PUT", f"{MODEL}/infer"), ("POST", MODEL), ("DELETE", "/v2")],
)
def test_a_wrong_method_is_405(classifier: TextClassifier, method: str, path: str) -> None:
    found = asked(classifier, method, path)
    assert found.status_code == 405
    assert found.headers["allow"]
    assert list(found.json()) == ["error"]
