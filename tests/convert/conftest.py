from __future__ import annotations

import onnxruntime
import pytest
import torch

from edgepipe.convert import exporter
from edgepipe.graph import store
from tests.convert.families import build


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    onnxruntime.set_default_logger_severity(4)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def bert(tmp_path_factory):
    """A tiny BERT and its export, made once for all tests here."""
    model = build("bert")
    path = tmp_path_factory.mktemp("bert") / "model.onnx"
    store.write(exporter.export(model), path)
    return model, path
