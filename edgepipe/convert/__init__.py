"""The only place where torch and ONNX meet."""
