"""Steps made again from the parameters that a version records, so that new photos are prepared in the same way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError

from data_manifests.errors import StageError
from pipeline.step import Step
from preprocess.settings import PreprocessSettings
from preprocess.stages import background_step, crop_step, detect_step, landmarks_step

_MAKERS: dict[str, Callable[[PreprocessSettings], Step]] = {
    "detect": lambda settings: detect_step(settings.detect),
    "landmarks": lambda settings: landmarks_step(settings.landmarks, settings.detect),
    "crop": lambda settings: crop_step(settings.crop),
    "background": lambda settings: background_step(settings.background),
}


def steps_of(recorded: Mapping[str, Mapping[str, Any]]) -> list[Step]:
    """Return steps in the order of `recorded`: name → parameters of the step, by this or an earlier release.

    Raises StageError for parameters that this release does not know how to repeat.
    """
    values = {name: _settings_of(name, parameters) for name, parameters in recorded.items()}
    if "crop" in values:
        values["crop"].setdefault("when", "always")  # earlier releases cut every picture
    try:
        settings = PreprocessSettings.model_validate(values)
    except ValidationError as error:
        wrong = ".".join(map(str, error.errors()[0]["loc"]))
        raise StageError(f"the steps were recorded by another release: {wrong} has a value unknown here.") from None
    return [_MAKERS[name](settings) for name in values]


def _settings_of(name: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters that are settings, under their present names; versions and derived ones are left out."""
    section = PreprocessSettings.model_fields[name].annotation
    assert section is not None
    renamed = getattr(section, "renamed", {})
    values = {renamed.get(key, key): value for key, value in parameters.items()}
    return {key: value for key, value in values.items() if key in section.model_fields}
