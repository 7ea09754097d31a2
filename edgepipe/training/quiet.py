"""Third-party chatter, kept from the user."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator

from transformers.utils import logging as transformers_logging


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Inside, no log line below an error, no warning and no progress bar is shown.

    All loggers are held back at once: torchao, which transformers imports on its first load, sets
    its own level while it is imported.
    """
    before = logging.root.manager.disable
    bars = transformers_logging.is_progress_bar_enabled()
    logging.disable(max(before, logging.WARNING))
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
        if bars:
            transformers_logging.enable_progress_bar()  # type: ignore[no-untyped-call]
