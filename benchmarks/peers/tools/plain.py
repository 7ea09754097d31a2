"""numpy, tokenizers and onnxruntime and nothing else: what someone writes by hand.

It answers from any folder that holds one ``.onnx`` file, ``tokenizer.json`` and ``config.json``,
whatever tool made it; where there is more than one file, the lineup names it.
"""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.peers.tool import Setup, run

BATCH = 16


class Session:
    """A text alone at its own length; many in batches as they come, padded to their longest."""

    def __init__(self, setup: Setup) -> None:
        import json

        import numpy as np
        import onnxruntime
        from tokenizers import Tokenizer

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = setup.threads
        file = (  # harness
            setup.made / setup.file if setup.file else next(setup.made.rglob("*.onnx"))
        )
        self.session = onnxruntime.InferenceSession(file, options)
        self.inputs = [given.name for given in self.session.get_inputs()]
        config = json.loads((setup.made / "config.json").read_text())
        self.names = config.get("id2label", {})
        self.tokenizer = Tokenizer.from_file(str(setup.made / "tokenizer.json"))
        self.tokenizer.enable_truncation(setup.max_length)
        self.tokenizer.enable_padding(pad_id=config.get("pad_token_id") or 0)
        self.np = np  # harness

    def answers(self, texts: Sequence[str]) -> list[int]:
        """The index of each text's label, from one batch."""
        encoded = self.tokenizer.encode_batch(texts)
        feed = {
            "input_ids": self.np.array([text.ids for text in encoded]),
            "attention_mask": self.np.array([text.attention_mask for text in encoded]),
            "token_type_ids": self.np.array([text.type_ids for text in encoded]),
        }
        logits = self.session.run(None, {name: feed[name] for name in self.inputs})[0]
        return logits.argmax(-1).tolist()

    def one(self, text: str) -> int:
        """The label's index."""
        return self.answers([text])[0]

    def many(self, texts: Sequence[str]) -> list[int]:
        """One index for each text."""
        batches = [texts[at : at + BATCH] for at in range(0, len(texts), BATCH)]
        return [answer for batch in batches for answer in self.answers(batch)]

    def label(self, answer: int) -> str:
        """Its name, or the one that transformers gives where a config names none."""
        return self.names.get(str(answer), f"LABEL_{answer}")


class SortedSession(Session):
    """The same, with texts of like length in a batch: the shortest first, by characters."""

    def many(self, texts: Sequence[str]) -> list[int]:
        """One index for each text."""
        order = sorted(range(len(texts)), key=lambda at: len(texts[at]))
        answers = super().many([texts[at] for at in order])
        return [answer for _, answer in sorted(zip(order, answers, strict=True))]


LOADERS = {"session": Session, "session-sorted": SortedSession}

if __name__ == "__main__":
    raise SystemExit(run({}, LOADERS))
