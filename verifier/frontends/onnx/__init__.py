"""How an ONNX file is read."""
