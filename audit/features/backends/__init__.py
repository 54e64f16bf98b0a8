"""One file per network that describes a face; torch and ONNX live here and nowhere else in this package."""
