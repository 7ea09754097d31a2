"""``serve`` with a classifier that works once ``open`` came on standard input."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Self

from edgepipe.serve import server
from tests.runtime.gated import Gated


class Model(Gated):
    """With what ``serve`` asks of a ``TextClassifier`` beside its answers."""

    labels = ("a", "b")
    manifest = SimpleNamespace(name="gated")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.gate.set()


def obey(model: Model) -> None:
    for line in sys.stdin:
        if line.strip() == "open":
            model.gate.set()


def main() -> int:
    model = Model()
    threading.Thread(target=obey, args=(model,), daemon=True).start()
    server._load = lambda *_: model  # type: ignore[assignment,return-value]
    try:
        server.serve(Path("none"), server.Settings(port=0), lambda line: print(line, flush=True))
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
