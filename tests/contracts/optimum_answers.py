"""python optimum_answers.py BUNDLE FILE: what optimum's ORTModel answers to the golden texts.

Runs in an environment of its own, with optimum-onnx and without edgepipe; JSON on stdout.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from optimum.onnxruntime import ORTModelForSequenceClassification
from transformers import AutoTokenizer


def main(bundle: str, file: str) -> None:
    tokenizer = AutoTokenizer.from_pretrained(bundle)
    model = ORTModelForSequenceClassification.from_pretrained(
        bundle, subfolder="onnx", file_name=file, local_files_only=True
    )
    found = []
    lines = (Path(bundle) / "golden.jsonl").read_text(encoding="utf-8").split("\n")
    for text in (json.loads(line)["text"] for line in lines if line):
        encoded = tokenizer(text, truncation=True, return_tensors="pt")
        logits = model(**encoded).logits[0]
        label = model.config.id2label[int(logits.argmax())]
        ids = encoded["input_ids"][0].tolist()
        found.append({"ids": ids, "logits": logits.tolist(), "label": label})
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
