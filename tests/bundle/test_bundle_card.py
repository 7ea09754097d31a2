from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard
from markdown_it import MarkdownIt

from edgepipe.artifacts import Bundle, Provenance
from edgepipe.bundle import layout
from edgepipe.bundle.manifest import Accuracy
from tests.bundle.variants import variant

MEASURED = Accuracy(accuracy=0.9, low=0.85, high=0.94, examples=200, agreement=0.98)
HOSTILE = [
    "a | b",
    "<script>alert(1)</script>",
    "[x](javascript:alert(1))",
    "# heading\n---\nlicense: mit",
    "`code` **bold** _under_ ~~gone~~ &amp; \\ $x$ ![i](j)",
    "{name} {0} %s",
    "```\n# out",
]


def card(folder: Path, name: str = "reviews", **changes: Any) -> ModelCard:
    """The card of a bundle with two variants, the first of them measured, as the hub reads it."""
    models = {p: variant(folder / p, p, **changes, external=p == "fp32") for p in ("int8", "fp32")}
    made = layout.assemble(models, {"int8": MEASURED}, folder / "into", name=name, data="d" * 64)
    return loaded(made)


def loaded(made: Bundle) -> ModelCard:
    return ModelCard((made.path / "README.md").read_text(encoding="utf-8"))


def html(found: ModelCard) -> str:
    return MarkdownIt("commonmark").enable("table").enable("strikethrough").render(found.text)


def shown(found: ModelCard) -> str:
    """What a reader sees: the page without its tags."""
    text = re.sub(r"<[^>]+>", "", html(found))
    for entity, char in (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&amp;", "&")):
        text = text.replace(entity, char)
    return text


def test_the_front_matter_is_what_the_hub_reads(tmp_path: Path) -> None:
    found = card(tmp_path).data
    assert (found.pipeline_tag, found.library_name) == ("text-classification", "onnx")
    assert (found.base_model, found.license) == ("org/name", "apache-2.0")
    assert found.tags == ["edgepipe", "onnx", "transformers.js"]
    (result,) = found.eval_results
    assert found.model_name == "reviews"
    assert (result.task_type, result.dataset_split) == ("text-classification", "test")
    assert (result.metric_type, result.metric_value) == ("accuracy", 0.9)
    assert result.metric_name == "accuracy of int8"
    assert result.metric_args["interval_95"] == [0.85, 0.94]
    assert result.dataset_args == {"examples": 200, "digest": "d" * 64}


def test_variants_stand_in_a_table(tmp_path: Path) -> None:
    found = card(tmp_path)
    sizes = [
        sum(file.stat().st_size for file in (tmp_path / "into/onnx").glob(glob)) / 1e6
        for glob in ("model_quantized.onnx", "model.onnx*")
    ]
    rows = [re.findall(r"<td>(.*?)</td>", row) for row in html(found).split("<tr>")[2:]]
    assert rows == [
        [
            "int8", "<code>onnx/model_quantized.onnx</code>", f"{sizes[0]:.1f} MB", "cpu",
            "90.0% (85.0% to 94.0%)", "98.0%",
        ],
        [
            "fp32", "<code>onnx/model.onnx</code>", f"{sizes[1]:.1f} MB", "cpu, cuda",
            "not measured", "",
        ],
    ]  # fmt: skip


def test_a_reader_learns_what_it_is_and_where_it_ends(tmp_path: Path) -> None:
    text = " ".join(shown(card(tmp_path)).split())
    assert "2 labels: no, yes." in text
    assert "It reads 16 tokens of a text, special ones included." in text
    assert "Texts longer than 16 tokens are truncated" in text
    assert "int8 takes its ranges per batch" in text
    assert "Weights derive from hf://org/name@v1, under the licence apache-2.0." in text
    for code in ('runtime.load("path', '{ dtype: "q8" }', 'file_name="model_quantized.onnx"'):
        assert code in text


def test_an_unmeasured_bundle_says_so_and_claims_nothing(tmp_path: Path) -> None:
    made = layout.assemble({"a": variant(tmp_path / "a")}, {}, tmp_path / "into", name="x", data="")
    found = loaded(made)
    assert found.data.eval_results is None
    assert "metrics" not in found.data.to_dict()
    assert "accuracy of this bundle was not measured" in shown(found)
    assert "takes its ranges per batch" not in shown(found)


@pytest.mark.parametrize("hostile", HOSTILE)
def test_names_and_labels_are_shown_and_never_obeyed(tmp_path: Path, hostile: str) -> None:
    usual = html(card(tmp_path / "usual"))
    found = card(tmp_path / "hostile", name=hostile, labels=(hostile, "yes"))
    assert re.findall(r"</?(\w+)", html(found)) == re.findall(r"</?(\w+)", usual)
    flat = " ".join(hostile.split())
    text = " ".join(shown(found).split())
    assert text.startswith(f"{flat} ")
    assert f"2 labels: {flat}, yes." in text
    assert found.data.model_name == hostile
    assert found.data.license == "apache-2.0"


def test_many_labels_are_counted(tmp_path: Path) -> None:
    labels = tuple(f"label{n}" for n in range(23))
    assert "label18, label19, and 3 more." in shown(card(tmp_path, labels=labels))


@pytest.mark.parametrize("source", ["pkg://a/b", "../models/x", 'C:\\odd "name"'])
@pytest.mark.parametrize("licence", ["", "other: see #file", "- x", 'MIT "as is"', "a\n---\nb: c"])
def test_the_front_matter_is_yaml_whatever_the_source(
    tmp_path: Path, source: str, licence: str
) -> None:
    found = card(tmp_path, provenance=Provenance(source=source, licence=licence))
    assert found.data.get("license", "") == licence
    assert "base_model" not in found.data.to_dict()
    assert "b" not in found.data.to_dict()
