from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

import edgepipe
from edgepipe import api, runtime

HEAVY = ("torch", "transformers", "onnx", "onnxruntime", "pydantic", "click", "rich", "scipy",
         "sklearn", "numpy", "tokenizers", "datasets", "pyarrow", "huggingface_hub")  # fmt: skip


def test_four_names_are_public() -> None:
    assert sorted(edgepipe.__all__) == ["gate", "load", "plan", "run"]
    assert edgepipe.load is runtime.load
    assert (edgepipe.plan, edgepipe.run, edgepipe.gate) == (api.plan, api.run, api.gate)


@pytest.mark.parametrize("name", sorted(edgepipe.__all__))
def test_every_public_function_says_what_is_true_afterwards(name: str) -> None:
    function = getattr(edgepipe, name)
    assert inspect.getdoc(function)
    signature = inspect.signature(function)
    assert signature.return_annotation is not inspect.Parameter.empty
    for parameter in signature.parameters.values():
        assert parameter.annotation is not inspect.Parameter.empty
        assert parameter.kind is not inspect.Parameter.VAR_KEYWORD


@pytest.mark.parametrize(
    ("name", "package", "extra"),
    [("run", "pydantic", "cli"), ("plan", "pydantic", "cli"), ("gate", "pydantic", "cli"),
     ("load", "tokenizers", "cpu")],
)  # fmt: skip
def test_without_its_packages_a_name_says_which_pip_line_brings_them(
    name: str, package: str, extra: str
) -> None:
    code = f"""
import sys, edgepipe
from edgepipe.errors import MissingDependencyError
sys.modules[{package!r}] = None
try:
    edgepipe.{name}
except MissingDependencyError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"edgepipe.{name} needs {package}")
    assert done.stdout.endswith(f": pip install 'edgepipe[{extra}]'\n")


def test_any_other_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'edgepipe' has no attribute 'nothing'"):
        _ = edgepipe.nothing
    assert not hasattr(edgepipe, "Pipeline")


def test_importing_it_imports_nothing_heavy() -> None:
    code = f"import edgepipe, sys; print([m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
