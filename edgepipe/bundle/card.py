"""The model card of a bundle: what it is, what it was measured to do, how to run it."""

from __future__ import annotations

import json

from edgepipe.bundle.manifest import Manifest, Variant

_TEXT = """---
library_name: onnx
pipeline_tag: {task}
{base}{licence}---
# {name}

{task} with {count} labels ({labels}), at most {max_length} tokens a text. Made by edgepipe.

| variant | file | accuracy (95 % interval) | test texts | agrees with the reference |
| --- | --- | --- | --- | --- |
{rows}

```python
from edgepipe import runtime

model = runtime.load("path/to/this/folder")
print(model("a text"))
```

`edgepipe.json` names every file with its SHA-256. `golden.jsonl` holds texts, token ids and the
logits of the torch model; each variant has to reproduce them within its `tolerance`, one text at a
time and unpadded.
"""


def render(manifest: Manifest) -> str:
    """Markdown with YAML front matter, as the Hugging Face hub reads it."""
    licence = manifest.provenance.licence
    return _TEXT.format(
        name=manifest.name,
        task=manifest.task,
        base=_base(manifest.provenance.source),
        licence=f"license: {json.dumps(licence)}\n" if licence else "",
        count=len(manifest.labels),
        labels=", ".join(manifest.labels[:20]),
        max_length=manifest.max_length,
        rows="\n".join(_row(variant) for variant in manifest.variants),
    )


def _base(source: str) -> str:
    """The hub's own field; it names models of the hub and nothing else."""
    if not source.startswith("hf://"):
        return ""
    name = source.removeprefix("hf://").partition("@")[0]
    return f"base_model: {json.dumps(name)}\n"


def _row(variant: Variant) -> str:
    files = ", ".join(f"`{graph.file}`" for graph in variant.graphs.values())
    a = variant.accuracy
    if a is None:
        return f"| {variant.name} | {files} | not measured | | |"
    interval = f"{a.accuracy:.1%} ({a.low:.1%} to {a.high:.1%})"
    return f"| {variant.name} | {files} | {interval} | {a.examples} | {a.agreement:.1%} |"
