"""Settings of synthesis: the section `synth` of a pipeline YAML."""

from __future__ import annotations

from typing import Literal

from pydantic import AliasChoices, Field, ValidationInfo, field_validator

from data_manifests.errors import ConfigError, must_be_one_of
from data_manifests.taxonomy import GENDERS, MASKS, N_AGE_CLASSES
from pipeline.settings import Settings
from synth.ages import AgeSettings
from synth.mask_choices import mask_type_choices
from synth.masks import INCORRECT_PLACEMENTS, load_templates


class Target(Settings):
    """Images that the train split should have of an age class, gender and mask; None stands for any."""

    age_class: int | None = Field(default=None, ge=0, lt=N_AGE_CLASSES)
    gender: Literal[GENDERS] | None = None  # type: ignore[valid-type]
    mask: Literal[MASKS] | None = None  # type: ignore[valid-type]
    pictures: int = Field(ge=1)


class SynthSettings(Settings):
    """Settings of a plan: targets, sources, mask types, placements, ages and the seed."""

    stage: Literal[1, 2] = 1  # 1: raise every age class to the largest; 2: to twice the largest
    targets: tuple[Target, ...] = ()  # instead of a stage; served in this order
    max_profiles_per_person: int = Field(default=12, ge=1)  # more copies of one face teach the face, not the age
    templates: str = ""  # a folder of the user's own masks, available in `types`
    types: tuple[str, ...] = Field(default=("any",), validate_default=True)  # types and groups; any includes own masks
    placements: tuple[str, ...] = Field(
        default=INCORRECT_PLACEMENTS,
        validation_alias=AliasChoices("placements", "wears"),
        serialization_alias="wears",  # the key of versions and YAML files written so far
    )
    ages: AgeSettings = AgeSettings()
    seed: int = 0

    @field_validator("types")
    @classmethod
    def _check_types(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        """Replace groups by their types."""
        folder = info.data.get("templates")
        choices = mask_type_choices(load_templates(folder) if folder else ())
        names = _check_names("synth.types", tuple(choices), value)
        return tuple(dict.fromkeys(member for name in names for member in choices[name]))

    @field_validator("placements")
    @classmethod
    def _check_placements(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return _check_names("synth.placements", INCORRECT_PLACEMENTS, value)


def _check_names(setting: str, allowed: tuple[str, ...], value: tuple[str, ...]) -> tuple[str, ...]:
    if not value:
        raise ConfigError(f"{setting} must name at least one of {{{', '.join(allowed)}}}.")
    for name in value:
        if name not in allowed:
            raise ConfigError(must_be_one_of(setting, allowed, name))
    return value
