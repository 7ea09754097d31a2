"""``serve`` with a classifier that loads and works once it is told so on standard input.

``python -m tests.serve.gated_program [PORT]``: with a port it waits for ``load`` first.
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Self

from edgepipe.serve import server
from tests.runtime.gated import PATIENCE, Gated


class Model(Gated):
    """With what ``serve`` asks of a ``TextClassifier`` beside its answers."""

    labels = ("a", "b")
    manifest = SimpleNamespace(name="gated")

    def __init__(self) -> None:
        super().__init__()
        self.loading = threading.Event()

    def load(self, *_: object) -> Self:
        assert self.loading.wait(PATIENCE)
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.gate.set()


def obey(model: Model) -> None:
    for line in sys.stdin:
        {"open": model.gate, "load": model.loading}[line.strip()].set()


def main() -> int:
    model = Model()
    threading.Thread(target=obey, args=(model,), daemon=True).start()
    server._load = model.load  # type: ignore[assignment]
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    if not port:
        model.loading.set()
    try:
        server.serve(
            Path("none"),
            server.Settings(port=port, workers=1),
            lambda line: print(line, flush=True),
        )
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
