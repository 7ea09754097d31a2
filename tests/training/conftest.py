from __future__ import annotations

import pytest
import torch

from edgepipe.training import device


@pytest.fixture(autouse=True, scope="session")
def _one_core():
    """Trainings take all cores; here they leave them to other tests. Bits depend on the number."""
    before = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(device, "usable_cores", lambda: 1)
        torch.set_num_threads(1)
        yield
    torch.set_num_threads(before)
