"""The control: what a skilled person writes first to put a model behind HTTP.

The same starlette and uvicorn; one onnxruntime session with its default options, threads included;
a lock around it, since a session that takes every core gains nothing from two calls at once.
"""

from __future__ import annotations

import argparse
import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from tokenizers import Tokenizer


class Model:
    """One text in, its best label out."""

    def __init__(self, bundle: Path) -> None:
        manifest = json.loads((bundle / "edgepipe.json").read_text())
        graph = manifest["variants"][0]["graphs"]["model"]
        self.labels = manifest["labels"]
        self.tokenizer = Tokenizer.from_file(
            str(bundle / manifest.get("tokenizer", "tokenizer.json"))
        )
        self.tokenizer.enable_truncation(manifest["max_length"])
        self.tokenizer.no_padding()
        self.session = onnxruntime.InferenceSession(str(bundle / graph["file"]))
        self.inputs = {value.name for value in self.session.get_inputs()}
        self.lock = threading.Lock()

    def __call__(self, text: str) -> list[dict[str, Any]]:
        """One at a time."""
        with self.lock:
            found = self.tokenizer.encode(text)
            feed = {
                "input_ids": np.array([found.ids], np.int64),
                "attention_mask": np.array([found.attention_mask], np.int64),
                "token_type_ids": np.array([found.type_ids], np.int64),
            }
            (logits,) = self.session.run(
                None, {name: value for name, value in feed.items() if name in self.inputs}
            )
        shares = np.exp(logits[0] - logits[0].max())
        shares /= shares.sum()
        best = int(shares.argmax())
        return [{"label": self.labels[best], "score": float(shares[best])}]


def main() -> None:
    """Serve until a signal comes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--port", type=int, required=True)
    given = parser.parse_args()
    model = Model(given.bundle)

    def predict(text: str) -> JSONResponse:
        return JSONResponse(model(text))

    async def endpoint(request: Request) -> JSONResponse:
        from starlette.concurrency import run_in_threadpool

        return await run_in_threadpool(predict, (await request.json())["text"])

    app = Starlette(routes=[Route("/predict", endpoint, methods=["POST"])])
    uvicorn.run(app, port=given.port, log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
