from __future__ import annotations

import pytest
import torch

from edgepipe.training import device


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def _one_core(monkeypatch):
    monkeypatch.setattr(device, "usable_cores", lambda: 1)
