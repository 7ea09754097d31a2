"""Where torch lives: models in, trained models out; nothing here knows stages or the run.

Importing transformers' models imports torchao, if it is installed, and torchao warns of kernels
that it has for other machines. Those lines come while modules load, before anything could be
wrapped in ``quiet``, so they are dropped here; errors still pass.
"""

import logging

for _name in ("torchao", "torch.utils._pytree"):
    logging.getLogger(_name).addFilter(lambda record: record.levelno >= logging.ERROR)
