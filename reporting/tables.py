"""Text of table cells: class names, counts, shares, scores and parameters."""

from __future__ import annotations

import math
import re

from data_manifests.taxonomy import GENDERS, MASKS, AgeCuts, class_names

TASK_TITLES = {"class": "18 classes", "mask": "Mask", "gender": "Gender", "age": "Age class"}
NO_VALUE = "–"


def class_label(name: str) -> str:
    """Return a class name for display: >=60 as ≥60, 30-59 with an en dash."""
    return re.sub(r"(\d)-(\d)", r"\1–\2", name.replace(">=", "≥"))


def task_labels(task: str, cuts: AgeCuts) -> list[str]:
    """Return the names of the classes of a task (class, mask, gender or age) for display, in the order of their ids."""
    names = {"class": class_names(cuts), "mask": MASKS, "gender": GENDERS, "age": cuts.names}[task]
    return [class_label(name) for name in names]


def percent(part: float, whole: float) -> str:
    """Return a share with one decimal: (1, 8) → "12.5 %"; "0.0 %" of nothing."""
    return f"{100 * part / max(1, whole):.1f} %"


def count_text(value: int) -> str:
    """Return a whole number with thousands separators: 1234 → "1,234"."""
    return f"{value:,}"


def share_text(value: float | None) -> str:
    """Return a share without decimals: 0.314 → "31 %"; a dash for None."""
    return NO_VALUE if value is None else f"{100 * value:.0f} %"


def score_text(value: float | None, reason: str = "") -> str:
    """Return a score with three decimals: 0.5 → "0.500".

    None and nan are scores that cannot be measured: "not measurable: one class in validation" where the reason is that
    phrase, a dash without a reason.
    """
    if value is None or math.isnan(value):
        return f"not measurable: {reason}" if reason else NO_VALUE
    return f"{value:.3f}"


def signed_text(value: float) -> str:
    """Return a difference of scores with its sign: -0.02 → "−0.020"."""
    return f"{value:+.3f}".replace("-", "−")


def value_text(value: object) -> str:
    """Return a parameter without the quotes and brackets of Python: ["a", 1] → "a, 1"."""
    if isinstance(value, list):
        return ", ".join(map(value_text, value))
    if isinstance(value, dict):
        return "{" + " ".join(f"{key}={value_text(part)}" for key, part in value.items()) + "}"
    return str(value)
