"""What can be set, in the section `audit` of a YAML file or as `look_at=300` on the command line."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from pipeline.settings import Settings


class Values(Settings):
    """What finding one error of a kind is worth; only ratios matter. A label that stands on seven training pictures
    and a stranger who does are worth most, a blurred photo least.
    """

    gender: float = Field(default=1.0, ge=0)
    age: float = Field(default=1.0, ge=0)
    mask: float = Field(default=1.0, ge=0)
    stranger: float = Field(default=1.0, ge=0)
    duplicate: float = Field(default=0.5, ge=0)
    quality: float = Field(default=0.3, ge=0)


class AuditSettings(Settings):
    """`describer` makes the vectors that everything but quality rests on; `detector` and `landmarker` are used for rows
    without `landmarks_xy`. `duplicate_bits` is the largest distance of two perceptual hashes (of 64 bits) whose
    pictures are compared. `report_people` is how many people the report shows.
    """

    describer: str = "dlib_layers"
    describer_params: dict[str, Any] = Field(default_factory=dict)
    detector: str = "mtcnn"
    detector_params: dict[str, Any] = Field(default_factory=dict)
    landmarker: str = "dlib68"
    landmarker_params: dict[str, Any] = Field(default_factory=dict)
    duplicate_bits: int = Field(default=4, ge=0, le=8)
    values: Values = Values()
    report_people: int = Field(default=60, ge=0, le=500)
    jobs: int | None = Field(default=None, ge=1)
    executor: str = "pool"
    seed: int = 0
