"""Settings of the audit: section `audit` of a YAML file, or `values.gender=2` on the command line."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, field_validator

from audit.checks import check_names, default_weights, validate_table
from data_manifests.errors import ConfigError, must_be_one_of
from pipeline.settings import Settings

OLD_NAMES = {"stranger": "identity"}  # keys of `values` in settings files written before


class AuditSettings(Settings):
    """Settings of one audit.

    `describer` computes the face vectors that all checks but quality use; `detector` and `landmarker` are used for rows
    without `landmarks_xy`. `duplicate_bits` is the largest distance of two perceptual hashes (of 64 bits) whose
    pictures are compared. `values` are the values of finding one error of each check, in the order of the queue; only
    their ratios matter, and a missing one takes the weight of the check. `report_people` is the number of people in
    the report.
    """

    describer: str = "dlib_layers"
    describer_params: dict[str, Any] = Field(default_factory=dict)
    detector: str = "mtcnn"
    detector_params: dict[str, Any] = Field(default_factory=dict)
    landmarker: str = "dlib68"
    landmarker_params: dict[str, Any] = Field(default_factory=dict)
    duplicate_bits: int = Field(default=4, ge=0, le=8)
    values: dict[str, Annotated[float, Field(ge=0)]] = Field(default_factory=dict, validate_default=True)
    report_people: int = Field(default=60, ge=0, le=500)
    jobs: int | None = Field(default=None, ge=1)
    executor: str = "pool"
    seed: int = 0

    @field_validator("values", mode="before")
    @classmethod
    def _complete_values(cls, given: Any) -> Any:
        """Fill in the weights of the table. Raises ConfigError for an unknown check."""
        validate_table()
        if not isinstance(given, dict):
            return given  # refused by the type
        named = {OLD_NAMES.get(name, name): value for name, value in given.items()}
        for name in named:
            if name not in check_names():
                raise ConfigError(must_be_one_of("setting values", check_names(), name))
        return default_weights() | named
