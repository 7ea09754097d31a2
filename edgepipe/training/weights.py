"""Safetensors files: looked at before torch touches them."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError, safe_open

from edgepipe.errors import StageError

_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.h5", "*.msgpack")


def check_weights(folder: Path) -> None:
    """``folder`` holds safetensors weights whose headers fit their files.

    Raises StageError when there are none, when only pickled weights are there (loading a pickle
    runs whatever code it holds), and when a file was cut short or is no safetensors file.
    """
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise StageError(_nothing_there(folder))
    for file in files:
        try:
            with safe_open(file, framework="np") as opened:
                opened.keys()
        except (SafetensorError, OSError) as error:
            raise StageError(
                f"{file} is cut short or damaged ({error}); fetch or copy it again"
            ) from error


def _nothing_there(folder: Path) -> str:
    pickles = sorted(file.name for pattern in _PICKLES for file in folder.glob(pattern))
    if not pickles:
        return f"{folder} holds no model.safetensors"
    return (
        f"{folder} holds its weights only as {pickles[0]}; only safetensors are loaded, because a "
        "pickle can run any code. Convert it where you trust it: "
        "AutoModelForSequenceClassification.from_pretrained(folder).save_pretrained(folder)"
    )
