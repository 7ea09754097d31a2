"""How much one request may ask for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What is larger is refused with 413; what takes longer, with 408 or 503."""

    body: int = 1 << 20
    """Bytes of a request's body."""
    texts: int = 128
    """Texts of a request."""
    characters: int = 20_000
    """Of one text: a tokenizer reads all of it, and nobody else is served meanwhile."""
    seconds: float = 10.0
    """From the head of a request to its answer."""
    head_seconds: float = 10.0
    """For the head of a request, and for silence before the first one."""
    connections: int = 1024
    """Open at the same time; on those beyond it requests get 503."""
