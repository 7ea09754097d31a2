"""The model card of a bundle: what it is, what it was measured to do, how to run it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from edgepipe.bundle.manifest import Manifest, Variant
from edgepipe.bundle.provenance import hub_model

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

FILE = "README.md"
_MEGA = 1_000_000
_SHOWN = 20
_MARKUP = re.compile(r"([\\`*_{}\[\]<>#|~$&!])")
_TEXT = """\
# {name}

{architecture} for {task} ({problem}), made by edgepipe. {count} labels: {labels}. It reads
{max_length} tokens of a text, special ones included.

| variant | file | size | runs on | accuracy (95 % interval) | agrees with the reference |
| --- | --- | --- | --- | --- | --- |
{rows}

{measured}

## How to run it

In Python without torch, `pip install 'edgepipe[cpu]'`:

```python
from edgepipe import runtime

with runtime.load("path/to/this/folder") as model:
    print(model("a text"))
```

In a browser or Node.js with [transformers.js](https://huggingface.co/docs/transformers.js), where
{dtypes}:

```js
import {{ env, pipeline }} from "@huggingface/transformers";

env.localModelPath = "path/to/the/parent/folder/";
env.allowRemoteModels = false;
const classify = await pipeline("text-classification", "name-of-this-folder", {{ dtype: {dtype} }});
console.log(await classify("a text"));
```

With [optimum](https://huggingface.co/docs/optimum-onnx):

```python
from optimum.onnxruntime import ORTModelForSequenceClassification
from transformers import AutoTokenizer, pipeline

folder = "path/to/this/folder"
model = ORTModelForSequenceClassification.from_pretrained(
    folder, subfolder="onnx", file_name="{file}"
)
tokenizer = AutoTokenizer.from_pretrained(folder)
classify = pipeline("text-classification", model=model, tokenizer=tokenizer)
print(classify("a text", truncation=True))
```

## Limits

{limits}

## Where it comes from

{origin}

`edgepipe.json` names every file with its SHA-256. `provenance.json` is an in-toto statement about
the model, data, code and tools; `bom.cdx.json` is the CycloneDX bill of materials. `golden.jsonl`
holds texts, token ids and the logits of the torch model; each variant has to reproduce them within
its tolerance, one text at a time and unpadded: `edgepipe verify --run path/to/this/folder`.
"""
_DTYPES = {"fp32": "fp32", "fp16": "fp16", "int8": "q8", "q4": "q4"}
"""transformers.js's names for the files of ``edgepipe.bundle.layout.SUFFIX``."""


def render(made: Manifest, config: Mapping[str, Any]) -> str:
    """Markdown with YAML front matter and evaluation results, as the Hugging Face hub reads it.

    ``config`` is ``config.json``. Names and labels are shown as they are, whatever they hold.
    """
    first = made.variants[0]
    architectures = config.get("architectures") or ["A model"]
    dtype = {v.name: f'"{_DTYPES[v.precision]}"' for v in made.variants}
    text = _TEXT.format(
        name=escaped(made.name),
        architecture=escaped(", ".join(map(str, architectures))),
        task=escaped(made.task),
        problem=made.problem_type.replace("_", " "),
        count=len(made.labels),
        labels=_labels(made.labels),
        max_length=made.max_length,
        rows="\n".join(_row(made, variant) for variant in made.variants),
        measured=_measured(made),
        dtypes=", ".join(f"`dtype: {dtype[v.name]}` is {v.name}" for v in made.variants),
        dtype=dtype[first.name],
        file=next(iter(first.graphs.values())).file.removeprefix("onnx/"),
        limits="\n".join(f"* {line}" for line in limits(made)),
        origin=_origin(made),
    )
    return f"---\n{_front_matter(made)}\n---\n{text}"


def limits(made: Manifest) -> Iterator[str]:
    """What a user of the model has to know, a sentence or two each, in plain text."""
    yield (
        "Languages, sources and biases of the training data are not recorded here; expect the "
        "measured accuracy only on texts like those it was measured on."
    )
    yield f"Texts longer than {made.max_length} tokens are truncated; the rest is not read."
    yield (
        "transformers.js truncates without keeping the final special token, so its answers to "
        "longer texts differ a little from those of edgepipe and transformers."
    )
    moody = ", ".join(v.name for v in made.variants if not v.batch_invariant)
    if moody:
        yield (
            f"{moody} takes its ranges per batch: an answer depends a little on the other texts in "
            "the batch. edgepipe's exact mode runs such texts one by one."
        )


def escaped(text: str) -> str:
    """One line of plain text for Markdown: no markup, no HTML, no end of a table cell."""
    return _MARKUP.sub(r"\\\1", " ".join(text.split()))


def _front_matter(made: Manifest) -> str:
    from huggingface_hub import ModelCardData

    found = list(_results(made))
    data = ModelCardData(
        base_model=hub_model(made.provenance.source) or None,
        eval_results=found or None,
        library_name="onnx",
        license=made.provenance.licence or None,
        metrics=["accuracy"] if found else None,
        model_name=made.name if found else None,
        pipeline_tag=made.task,
        tags=["edgepipe", "onnx", "transformers.js"],
    )
    return data.to_yaml(line_break="\n")


def _results(made: Manifest) -> Iterator[EvalResult]:
    """Accuracy, a result for each variant that was measured."""
    from huggingface_hub import EvalResult

    for variant in made.variants:
        if variant.accuracy is not None:
            yield EvalResult(
                task_type=made.task,
                dataset_type="private",
                dataset_name=f"the data of {made.name}",
                dataset_split=variant.accuracy.split,
                dataset_args={"examples": variant.accuracy.examples, "digest": made.data},
                metric_type="accuracy",
                metric_name=f"accuracy of {variant.name}",
                metric_value=variant.accuracy.accuracy,
                metric_args={
                    "file": [graph.file for graph in variant.graphs.values()],
                    "interval_95": [variant.accuracy.low, variant.accuracy.high],
                },
            )


def _labels(labels: Sequence[str]) -> str:
    shown = ", ".join(escaped(label) for label in labels[:_SHOWN])
    return shown if len(labels) <= _SHOWN else f"{shown}, and {len(labels) - _SHOWN} more"


def _row(made: Manifest, variant: Variant) -> str:
    files = [graph.file for graph in variant.graphs.values()]
    sizes = [
        made.files[f].bytes for name in files for f in (name, f"{name}_data") if f in made.files
    ]
    a = variant.accuracy
    cells = (
        variant.name,
        ", ".join(f"`{file}`" for file in files),
        f"{sum(sizes) / _MEGA:.1f} MB",
        ", ".join((*variant.devices, *variant.cpu_features)),
        f"{a.accuracy:.1%} ({a.low:.1%} to {a.high:.1%})" if a else "not measured",
        f"{a.agreement:.1%}" if a else "",
    )
    return f"| {' | '.join(cells)} |"


def _measured(made: Manifest) -> str:
    found = [v.accuracy for v in made.variants if v.accuracy]
    if not found:
        return "The accuracy of this bundle was not measured."
    return f"""\
Accuracy is that on the {found[0].examples:,} texts of the {found[0].split} split, answered by the
runtime of edgepipe at their exact lengths; the interval is Wilson's. Agreement is the share of
those texts on which the variant and the reference model answer alike. SHA-256 of the dataset:
`{made.data}`."""


def _origin(made: Manifest) -> str:
    source, licence = made.provenance.source, made.provenance.licence
    return (
        f"Weights derive from {escaped(source)}"
        + (f" (SHA-256 `{made.provenance.sha256}`)" if made.provenance.sha256 else "")
        + (f", under the licence {escaped(licence)}." if licence else ", whose licence is unknown.")
    )
