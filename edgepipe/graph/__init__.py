"""ONNX graphs: read, rewritten, quantized and run. Nothing here knows torch."""
