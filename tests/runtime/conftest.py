from __future__ import annotations

from pathlib import Path

import pytest

from tests.runtime.tiny_onnx import Tiny, write_bundle


@pytest.fixture(scope="session")
def tiny() -> Tiny:
    return Tiny()


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory, tiny: Tiny) -> Path:
    """Shared by all tests, which leave it as it is."""
    return write_bundle(tmp_path_factory.mktemp("runtime") / "bundle", tiny)
