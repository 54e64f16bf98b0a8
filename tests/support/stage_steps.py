"""Steps for the tests of the runner. A module of its own, because spawned workers must be able to import it."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np

from data_manifests.errors import BackendError, StageError
from pipeline.stage import Outcome, Record, Step, StepFunction


def make_measure(log: str = "", pause_s: float = 0.0, strange: str = "", deadly: str = "") -> StepFunction:
    """Writes the mean colour as a detection score; can log, be slow, refuse a picture, or kill its worker."""

    def measure(record: Record, picture: np.ndarray) -> Outcome:
        if record["path"] == deadly:
            os._exit(9)
        time.sleep(pause_s)
        if log:
            with Path(log).open("a") as file:
                file.write(record["path"] + "\n")
        if record["path"] == strange:
            raise StageError("a strange picture")
        score = float(picture.mean() / 255)
        if score < 0.3:
            return Outcome({"detection_score": score}, status="fallback", reason="dark")
        return Outcome({"detection_score": np.float32(score)})

    return measure


def make_invert() -> StepFunction:
    """Makes a new picture, and needs the score of the step before."""

    def invert(record: Record, picture: np.ndarray) -> Outcome:
        assert record["detection_score"] is not None
        return Outcome({"faces": np.int64(1)}, picture=255 - picture)

    return invert


def make_nothing() -> StepFunction:
    raise BackendError("model file tiny.onnx is missing")


def measure_step(**params: object) -> Step:
    return Step("measure", make_measure, "1", params, adds=("detection_score",))


INVERT = Step("invert", make_invert, "1", requires=("detection_score",), adds=("faces",))
BROKEN = Step("broken", make_nothing, "1")
