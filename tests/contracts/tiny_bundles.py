"""Tiny random Hugging Face checkpoints, exported, quantized and laid out as bundles."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import onnx
import onnx_ir
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from tokenizers import BertWordPieceTokenizer, ByteLevelBPETokenizer
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    BertTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaForSequenceClassification,
    RobertaTokenizer,
)

from edgepipe.artifacts import GraphRecord, OnnxModel, Provenance
from edgepipe.bundle import manifest
from edgepipe.convert.exporter import export, input_names
from edgepipe.stage import Work
from edgepipe.stages.package import Inputs, Package

Family = Literal["bert", "roberta", "scratch"]
"""``scratch`` is a BERT whose tokenizer has no class of its own, as models from scratch have it."""
MAX_LENGTH = 24
TEXTS = [
    "a quiet film that stays with you .",
    "two hours i will never get back !",
    "",
    "Bad.",
    "the plot , the plot , the plot",
    "très étrange ☃ film",
    "a film about films that is not about a film and does not know when it has to stop " * 3,
    " \t spaces  \n everywhere ",
    "good good good",
]
LABELS = ("negative", "neutral", "positive")


@dataclass(frozen=True)
class TinyModel:
    """A checkpoint as transformers loads it, and the same as an OnnxModel and as a bundle.

    ``golden.jsonl`` holds what transformers answers to ``TEXTS``, one text at a time.
    """

    checkpoint: Path
    fp32: OnnxModel
    bundle: Path


def build(folder: Path, family: Family, labels: tuple[str, ...] = LABELS) -> TinyModel:
    model, tokenizer = _checkpoint(folder / "checkpoint", family, labels)
    fp32 = _onnx(folder, model, labels, tokenizer)
    int8 = _quantized(folder, fp32)
    (folder / "bundle").mkdir()
    work = Work(path=folder, name=family)
    Package().run(Inputs(variants={"int8": int8, "fp32": fp32}), folder / "bundle", work)
    return TinyModel(folder / "checkpoint", fp32, folder / "bundle")


def _checkpoint(
    folder: Path, family: Family, labels: tuple[str, ...]
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    makers = {
        "bert": _bert_tokenizer,
        "roberta": _roberta_tokenizer,
        "scratch": _generic_tokenizer,
    }
    tokenizer = makers[family]()
    torch.manual_seed(0)
    shape = {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "max_position_embeddings": 64,
        "initializer_range": 0.3,  # with the usual 0.02 every text gets nearly the same answer
        "pad_token_id": tokenizer.pad_token_id,
        "id2label": dict(enumerate(labels)),
        "label2id": {label: n for n, label in enumerate(labels)},
        "attn_implementation": "eager",
    }
    model = (
        RobertaForSequenceClassification(RobertaConfig(**shape))
        if family == "roberta"
        else BertForSequenceClassification(BertConfig(**shape))
    ).eval()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return model, tokenizer


def _bert_tokenizer() -> PreTrainedTokenizerBase:
    trained = BertWordPieceTokenizer()
    trained.train_from_iterator(TEXTS, vocab_size=200, min_frequency=1, show_progress=False)
    return BertTokenizer(vocab=trained.get_vocab(), model_max_length=MAX_LENGTH)


def _generic_tokenizer() -> PreTrainedTokenizerBase:
    backend = _bert_tokenizer().backend_tokenizer
    special = {
        f"{name}_token": f"[{name.upper()}]" for name in ("unk", "pad", "cls", "sep", "mask")
    }
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        model_max_length=MAX_LENGTH,
        extra_special_tokens=["[MASK]"],
        **special,
    )


def _roberta_tokenizer() -> PreTrainedTokenizerBase:
    """<pad> is token 1, and positions of tokens count from 2."""
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trained = ByteLevelBPETokenizer()
    trained.train_from_iterator(
        TEXTS, vocab_size=400, min_frequency=1, show_progress=False, special_tokens=special
    )
    vocabulary = trained.get_vocab()
    merges = [tuple(pair) for pair in json.loads(trained.to_str())["model"]["merges"]]
    return RobertaTokenizer(vocab=vocabulary, merges=merges, model_max_length=MAX_LENGTH)


def _onnx(
    folder: Path,
    model: PreTrainedModel,
    labels: tuple[str, ...],
    tokenizer: PreTrainedTokenizerBase,
) -> OnnxModel:
    path = folder / "fp32"
    path.mkdir()
    lines = [json.dumps(_answer(model, tokenizer, text)) for text in TEXTS]
    (path / "golden.jsonl").write_text("\n".join(lines) + "\n")
    onnx_ir.save(export(model), path / "model.onnx")
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        shutil.copy(folder / "checkpoint" / name, path / name)
    graph = GraphRecord(file="model.onnx", inputs=input_names(model), outputs=("logits",))
    return _committed(
        OnnxModel(
            path=path,
            task="text-classification",
            labels=labels,
            max_length=MAX_LENGTH,
            pad_token_id=int(tokenizer.pad_token_id),
            graphs={"model": graph},
            provenance=Provenance(source="tests"),
        )
    )


def _answer(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, text: str
) -> dict[str, object]:
    """A golden line, by transformers and torch alone."""
    encoded = tokenizer(text, truncation=True, return_tensors="pt")
    with torch.no_grad():
        logits = model(**encoded).logits[0]
    return {"text": text, "ids": encoded["input_ids"][0].tolist(), "logits": logits.tolist()}


def _quantized(folder: Path, fp32: OnnxModel) -> OnnxModel:
    path = shutil.copytree(fp32.path, folder / "int8")
    graph = onnx.load(path / "model.onnx")
    del graph.graph.value_info[:]
    quantize_dynamic(graph, path / "model.onnx", per_channel=True, weight_type=QuantType.QInt8)
    return _committed(fp32.model_copy(update={"path": path, "precision": "int8"}))


def _committed(model: OnnxModel) -> OnnxModel:
    manifest.describe(model)
    return model.commit()
