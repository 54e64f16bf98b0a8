"""Loading of ONNX files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from data_manifests.errors import BackendError
from data_manifests.files.regular_file import in_one_line


def load_onnx(file: Path | str) -> Any:
    """Return an onnxruntime session of one thread on the CPU. Raises BackendError if the file is no ONNX network."""
    import onnxruntime

    if not Path(file).is_file():
        raise BackendError(f"ONNX file {str(file)!r} does not exist or is no file. Give the path of a network.")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # one worker process per core already
    try:
        return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own exceptions have no public base
        raise BackendError(f"{file} is not an ONNX file: {in_one_line(error)}. Download or export it again.") from None
