"""torch with transformers: the checkpoint itself, eager and compiled. Eager is the reference.

By transformers' documentation: ``from_pretrained`` with its defaults (on a CPU that is scaled dot
product attention in the checkpoint's own precision), which returns a model in evaluation mode, and
torch's inference mode. Tokenizer and model are called by hand, since ``pipeline`` adds Python to
every text that is none of torch's. That documentation advises against batches on a CPU; on these
texts 16 at a time took less than one by one, and less than 32.
"""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.peers.tool import Setup, run

BATCH = 16


class Eager:
    """A text alone at its own length; many in batches as they come, padded to their longest."""

    def __init__(self, setup: Setup) -> None:
        import torch
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        torch.set_num_threads(setup.threads)
        self.torch = torch  # harness
        self.max_length = setup.max_length  # harness
        self.tokenizer = AutoTokenizer.from_pretrained(setup.made)
        self.model = AutoModelForSequenceClassification.from_pretrained(setup.made)
        self.names = self.model.config.id2label

    def answers(self, texts: Sequence[str]) -> list[int]:
        """The index of each text's label, from one batch."""
        inputs = self.tokenizer(
            texts, padding=True, truncation=True, max_length=self.max_length, return_tensors="pt"
        )
        with self.torch.inference_mode():
            return self.model(**inputs).logits.argmax(-1).tolist()

    def one(self, text: str) -> int:
        """The label's index."""
        return self.answers([text])[0]

    def many(self, texts: Sequence[str]) -> list[int]:
        """One index for each text."""
        batches = [texts[at : at + BATCH] for at in range(0, len(texts), BATCH)]
        return [answer for batch in batches for answer in self.answers(batch)]

    def label(self, answer: int) -> str:
        """Its name."""
        return self.names[answer]


class SortedEager(Eager):
    """The same, with texts of like length in a batch: the shortest first, by characters."""

    def many(self, texts: Sequence[str]) -> list[int]:
        """One index for each text."""
        order = sorted(range(len(texts)), key=lambda at: len(texts[at]))
        answers = super().many([texts[at] for at in order])
        return [answer for _, answer in sorted(zip(order, answers, strict=True))]


class Compiled(Eager):
    """The model through ``torch.compile``, which needs a C++ compiler on a CPU.

    It compiles when it is first called: here with one text and with a full batch, of two lengths
    each, since even with ``dynamic=True`` a batch of one is another graph than a batch of more.
    """

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)  # harness
        self.model = self.torch.compile(self.model, dynamic=True)
        for text in ("Hi", "Hello, world!"):  # harness
            self.one(text)  # harness
            self.many([text] * BATCH)  # harness


LOADERS = {"eager": Eager, "eager-sorted": SortedEager, "compile": Compiled}

if __name__ == "__main__":
    raise SystemExit(run({}, LOADERS))
