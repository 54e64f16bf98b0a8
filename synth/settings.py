"""Settings of synthesis, the section `synth` of a pipeline YAML."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from data_manifests.errors import ConfigError, must_be_one_of
from data_manifests.taxonomy import GENDERS, MASKS, N_AGE_CLASSES
from pipeline.settings import Settings
from synth.ages import AgeSettings
from synth.choice import mask_choices
from synth.masks import WEARS, load_templates

WRONG_WEARS = tuple(wear for wear in WEARS if wear != "worn")


class Target(Settings):
    """How many pictures train should have of an age class, gender and mask; what is left out stands for all of it."""

    age_class: int | None = Field(default=None, ge=0, lt=N_AGE_CLASSES)
    gender: Literal[GENDERS] | None = None  # type: ignore[valid-type]
    mask: Literal[MASKS] | None = None  # type: ignore[valid-type]
    pictures: int = Field(ge=1)


class SynthSettings(Settings):
    """What to make, how much of it, and from which seed."""

    stage: Literal[1, 2] = 1  # 1: every age class up to the largest; 2: up to twice the largest
    targets: tuple[Target, ...] = ()  # instead of a stage; served in this order
    max_profiles_per_person: int = Field(default=12, ge=1)  # more copies of one face teach the face, not the age
    templates: str = ""  # a folder of masks of the user's own, for `types`
    types: tuple[str, ...] = Field(default=("any",), validate_default=True)  # types and groups; any: all, own ones too
    wears: tuple[str, ...] = WRONG_WEARS
    ages: AgeSettings = AgeSettings()
    seed: int = 0

    @field_validator("types")
    @classmethod
    def _known_types(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        """Groups become the types that they stand for."""
        folder = info.data.get("templates")
        choices = mask_choices(load_templates(folder) if folder else ())
        words = _known("synth.types", tuple(choices), value)
        return tuple(dict.fromkeys(name for word in words for name in choices[word]))

    @field_validator("wears")
    @classmethod
    def _known_wears(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return _known("synth.wears", WRONG_WEARS, value)


def _known(what: str, allowed: tuple[str, ...], value: tuple[str, ...]) -> tuple[str, ...]:
    if not value:
        raise ConfigError(f"{what} must name at least one of {{{', '.join(allowed)}}}.")
    for name in value:
        if name not in allowed:
            raise ConfigError(must_be_one_of(what, allowed, name))
    return value
