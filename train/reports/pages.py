"""HTML pages from the templates, in one way."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined


def render(template: str, filters: Mapping[str, Callable[..., str]] | None = None, **values: Any) -> str:
    """A page of `train/templates`. Filters: `share` (per cent, or a dash), `label` (a class name as print sets it), and
    those given."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {"share": share_text, "label": label_text, **(filters or {})}
    return environment.get_template(template).render(**values)


def share_text(value: float | None) -> str:
    """0.314 → "31 %"; a dash where there was nothing to measure."""
    return "–" if value is None else f"{100 * value:.0f} %"


def label_text(name: str) -> str:
    """A class name as print sets it: >=60 as ≥60, 30-59 with a dash that does not break."""
    return re.sub(r"(\d)-(\d)", "\\1\u2060–\u2060\\2", name.replace(">=", "≥"))
