"""Describers: one module per network that computes face vectors. Only these modules use torch and ONNX."""
