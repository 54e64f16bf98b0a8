"""Settings: a YAML file and `key=value` arguments, validated by a pydantic model that rejects unknown keys."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from data_manifests.errors import ConfigError, must_be_one_of
from data_manifests.files import parse_yaml, read_yaml

_MOST_SHOWN = 200  # characters of a value in a message


class Settings(BaseModel):
    """The base of every settings model: unknown keys are errors, and values are immutable.

    `renamed` maps the names that settings had in earlier releases to those of today, for the message about one.
    """

    renamed: ClassVar[Mapping[str, str]] = {}

    model_config = ConfigDict(extra="forbid", frozen=True)


Model = TypeVar("Model", bound=Settings)


def load_settings(
    model: type[Model], file: Path | None = None, overrides: Mapping[str, str] | None = None, section: str | None = None
) -> Model:
    """Read `file` (or its `section`), apply `overrides` such as {"detect.jobs": "2"}, and validate.

    `file.yaml#name` applies the values below `variants: {name: …}` too; each key of a section is replaced as a whole.
    Values of overrides are read as YAML, so `57,58` is text, `[57, 58]` a list and `2` a number. Raises ConfigError.
    """
    values = _read_yaml(file, section) if file else {}
    for key, text in (overrides or {}).items():
        _put(
            values, key.split("."), parse_yaml(text, f"the value of {key!r}") if text else ""
        )  # `key=` is the empty string
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise ConfigError(_explain(model, error)) from None


def _read_yaml(file: Path, section: str | None) -> dict[str, Any]:
    name, _, variant = str(file).partition("#")
    file = Path(name)
    if not file.exists():
        raise ConfigError(f"settings file {str(file)!r} does not exist.")
    values = _with_variant(name, _section(read_yaml(file), f"settings file {name!r}"), variant)
    if not section:
        return values
    return dict(_section(values.get(section), f"section {section!r} of settings file {name!r}"))


def _section(values: Any, name: str) -> dict[str, Any]:
    """Return a mapping of texts to values; an empty one for nothing. Raises ConfigError for another value."""
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(f"{name} must hold `key: value` lines. Got {_shown(values)} instead.")
    if odd := [key for key in values if not isinstance(key, str)]:
        raise ConfigError(f"{name}: a key must be text. Got {_shown(odd[0])} instead; put it into quotes.")
    return values


def _shown(value: Any) -> str:
    """Return a value for a message, shortened."""
    text = repr(value)
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"


def _with_variant(file: str, values: dict[str, Any], variant: str) -> dict[str, Any]:
    """Return the values without their `variants`, with the requested variant applied."""
    values = dict(values)
    variants = _section(values.pop("variants", None), f"section 'variants' of {file}")
    if not variant:
        return values
    if variant not in variants:
        raise ConfigError(must_be_one_of(f"the variant of {file}", variants, variant))
    for key, value in _section(variants[variant], f"variant {variant!r} of {file}").items():
        both = isinstance(value, dict) and isinstance(values.get(key), dict)
        values[key] = values[key] | value if both else value
    return values


def _put(values: dict[str, Any], keys: list[str], value: Any) -> None:
    for key in keys[:-1]:
        values = values.setdefault(key, {})
        if not isinstance(values, dict):
            raise ConfigError(f"setting {key!r} is a single value; it has no key {keys[-1]!r}.")
    values[keys[-1]] = value


def _explain(model: type[BaseModel], error: ValidationError) -> str:
    """Return the first problem in one line, with the allowed names for an unknown one."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    more = f" ({error.error_count() - 1} more)" if error.error_count() > 1 else ""
    if first["type"] == "extra_forbidden":
        parent, name = _model_at(model, first["loc"][:-1]), str(first["loc"][-1])
        if issubclass(parent, Settings) and name in parent.renamed:
            new = ".".join([*map(str, first["loc"][:-1]), parent.renamed[name]])
            return (
                f"setting {where!r} is now named {new!r}. Change it in the settings file or on the command line.{more}"
            )
        return must_be_one_of("setting", parent.model_fields, where) + more
    return f"setting {where!r}: {first['msg']}. Got {_shown(first['input'])} instead.{more}"


def _model_at(model: type[BaseModel], path: tuple[int | str, ...]) -> type[BaseModel]:
    for part in path:
        field = model.model_fields.get(str(part))
        if field is None or not isinstance(field.annotation, type) or not issubclass(field.annotation, BaseModel):
            break
        model = field.annotation
    return model
