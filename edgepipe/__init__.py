"""Compress, prove and run transformers: from a checkpoint and a dataset to an ONNX bundle."""

__version__ = "0.1.0"
