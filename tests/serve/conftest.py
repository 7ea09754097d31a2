from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from edgepipe import runtime
from edgepipe.runtime import TextClassifier
from tests.runtime.gated import Gated
from tests.runtime.tiny_onnx import Tiny, write_bundle


@pytest.fixture(scope="session")
def tiny() -> Tiny:
    return Tiny()


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory, tiny: Tiny) -> Path:
    """Shared by all tests, which leave it as it is."""
    return write_bundle(tmp_path_factory.mktemp("serve") / "bundle", tiny)


@pytest.fixture(scope="session")
def classifier(bundle: Path) -> Iterator[TextClassifier]:
    with runtime.load(bundle, threads=1) as model:
        yield model


@pytest.fixture
def gated() -> Gated:
    return Gated()
