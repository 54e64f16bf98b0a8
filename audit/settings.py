"""Settings of the audit: section `audit` of a YAML file, or `values.gender=2` on the command line."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from pipeline.settings import Settings


class AuditSettings(Settings):
    """Settings of one audit.

    `describer` computes the face vectors that all checks but quality use; `detector` and `landmarker` are used for rows
    without `landmarks_xy`. `duplicate_bits` is the largest distance of two perceptual hashes (of 64 bits) whose
    pictures are compared. `values` are the values of finding one error, by check; only their ratios matter, and
    a missing one is the weight of the check. `report_people` is the number of people in
    the report.
    """

    describer: str = "dlib_layers"
    describer_params: dict[str, Any] = Field(default_factory=dict)
    detector: str = "mtcnn"
    detector_params: dict[str, Any] = Field(default_factory=dict)
    landmarker: str = "dlib68"
    landmarker_params: dict[str, Any] = Field(default_factory=dict)
    duplicate_bits: int = Field(default=4, ge=0, le=8)
    values: dict[str, Annotated[float, Field(ge=0)]] = Field(default_factory=dict)
    report_people: int = Field(default=60, ge=0, le=500)
    jobs: int | None = Field(default=None, ge=1)
    executor: str = "pool"
    seed: int = 0
