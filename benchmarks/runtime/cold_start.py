r"""From a bare interpreter to the first answer, here and in optimum's ORTModel pipeline.

    python3 -m venv own && own/bin/pip install '.[cpu]'
    python3 -m venv peer && peer/bin/pip install -r benchmarks/peers/environments/optimum.txt
    python benchmarks/runtime/cold_start.py --bundle artifacts/movie-reviews/bundle \
        --python own/bin/python --peer-python peer/bin/python

Both open the same file of the same bundle, as it lies there, with one thread. Fresh processes in
turn; the disk's cache is warm, Python's bytecode is compiled. Sizes are those of site-packages
without pip and setuptools, so each side wants an environment of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
from pathlib import Path
from typing import Any

import lab

from edgepipe.runtime import load

TEXT = "A quiet film that stays with you."
_OWN = """
from edgepipe.runtime import load
imported = now()
classifier = load(bundle, variant=variant, threads=1)
loaded = now()
answer = classifier(text)
"""
_PEER = """
from onnxruntime import SessionOptions
from optimum.onnxruntime import ORTModelForSequenceClassification
from transformers import AutoTokenizer, pipeline
imported = now()
options = SessionOptions()
options.intra_op_num_threads = 1
folder, name = file.rsplit("/", 1)
model = ORTModelForSequenceClassification.from_pretrained(
    bundle, subfolder=folder, file_name=name, session_options=options
)
tokenizer = AutoTokenizer.from_pretrained(bundle)
classifier = pipeline("text-classification", model=model, tokenizer=tokenizer)
loaded = now()
answer = classifier(text)
"""
_FRAME = """
import json, sys, time
now = time.perf_counter
begin = now()
bundle, variant, file, text = sys.argv[1:]
{body}
answered = now()
status = open("/proc/self/status").read().splitlines()
print(json.dumps({{
    "import_s": imported - begin, "load_s": loaded - imported, "answer_s": answered - loaded,
    "total_s": answered - begin, "answer": answer[0],
    "peak_mb": int(next(l.split()[1] for l in status if l.startswith("VmHWM"))) * 1024 / 1e6,
}}))
"""
_INSTALLED = """
import importlib.metadata, json, os, sysconfig
tools = ("pip", "setuptools", "pkg_resources", "_distutils_hack")
size = 0
for folder, folders, files in os.walk(site := sysconfig.get_path("purelib")):
    if folder == site:
        folders[:] = [name for name in folders if not name.startswith(tools)]
    size += sum(os.lstat(os.path.join(folder, name)).st_size for name in files)
names = ("edgepipe", "onnxruntime", "tokenizers", "numpy", "torch", "transformers", "optimum-onnx")
found = {d.metadata["Name"]: d.version for d in importlib.metadata.distributions()}
print(json.dumps({"site_packages_mb": size / 1e6,
                  "packages": {name: found[name] for name in names if name in found}}))
"""
_SHOWN = ("import_s", "load_s", "answer_s", "total_s", "peak_mb")
_PATIENCE_S = 300


def tell(python: Path, code: str, *arguments: str) -> dict[str, Any]:
    """What a fresh process printed as JSON; SystemExit with its last words when it failed."""
    env = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        [str(python), "-P", "-c", code, *arguments],
        capture_output=True,
        text=True,
        timeout=_PATIENCE_S,
        check=False,
        env=env,
    )
    if done.returncode:
        raise SystemExit(f"{python} ended with {done.returncode}: {done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def file_of(given: argparse.Namespace) -> tuple[str, str]:
    """The variant that the runtime takes here, and its file."""
    with load(given.bundle, variant=given.variant, threads=1) as classifier:
        return classifier.variant.name, classifier.variant.graphs["model"].file


def main() -> None:
    """Measure and write down."""
    parser = lab.parser(__doc__)
    parser.add_argument("--python", type=Path, required=True)
    parser.add_argument("--peer-python", type=Path)
    parser.add_argument("--runs", type=int, default=7)
    given = parser.parse_args()
    arguments = (str(given.bundle), *file_of(given), TEXT)
    arms = {"edgepipe.runtime": (given.python, _FRAME.format(body=_OWN))}
    if given.peer_python:
        arms["optimum ORTModel"] = (given.peer_python, _FRAME.format(body=_PEER))
    installed = {name: tell(python, _INSTALLED) for name, (python, _) in arms.items()}
    for python, code in arms.values():
        tell(python, code, *arguments)  # compiles bytecode, warms the disk's cache
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in arms}
    for _ in range(given.runs):
        for name, (python, code) in arms.items():
            runs[name].append(tell(python, code, *arguments))
    rows = [
        (
            name,
            *(f"{statistics.median(run[key] for run in runs[name]):.3f}" for key in _SHOWN),
            f"{installed[name]['site_packages_mb']:.0f}",
        )
        for name in arms
    ]
    head = ("median", *(key.replace("_", " ") for key in _SHOWN), "site-packages mb")
    lab.publish(given, "cold-start", {"installed": installed, "runs": runs}, lab.table(head, rows))


if __name__ == "__main__":
    main()
