"""HTML pages from Jinja templates: one environment, a base page, and images inside the page.

A report's template extends `base.html.j2` (blocks title, style, main and footer) and imports `macros.html.j2`; both are
in `reporting/templates/`. A page is one file: style, charts and images are inside it.
"""

from __future__ import annotations

import base64
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from reporting.charts import Figure, to_svg
from reporting.tables import class_label, count_text, score_text, share_text, signed_text, value_text
from reporting.theme import style_variables

_TEMPLATES = Path(__file__).parent / "templates"
_NO_BREAK = "\u2060"  # word joiner


def render(template: Path, **values: Any) -> str:
    """Return the page of a template file. A value that the template names but `values` lacks is an error.

    Filters: `count`, `score`, `share`, `signed` and `value` as in `reporting.tables`, and `label` for a class name.
    """
    return _environment(template.parent).get_template(template.name).render(**values)


@cache
def _environment(folder: Path) -> Environment:
    environment = Environment(
        loader=FileSystemLoader([folder, _TEMPLATES]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["style_variables"] = style_variables()
    environment.filters |= {
        "count": count_text, "score": score_text, "share": share_text, "signed": signed_text, "value": value_text,
        "label": _label,
    }  # fmt: skip
    return environment


def _label(name: str) -> str:
    """Return a class name that does not break at its dash."""
    return class_label(name).replace("–", f"{_NO_BREAK}–{_NO_BREAK}")


def draw_figure(figure: Figure, width_px: int, part: str = "page") -> dict[str, str]:
    """Return the title, the SVG and the note of a figure, for the macro `figure_card`.

    `part` names the part of the page that shows it, if the same figure occurs in several.
    """
    svg = to_svg(figure.chart, f"{part}-{figure.key}", width_px)
    return {"title": figure.title, "svg": svg, "note": figure.note}


def data_url(jpeg: bytes) -> str:
    """Return the bytes of a JPEG as a URL that a page can use as the source of an image."""
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"
