"""A person as JSON values for the browser: labels, suggestions of the audit, reasons to look closely."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from curation_app.annotations import value_of
from curation_app.review.decisions import LABELS, labels_of
from data_manifests.corrections import LabelKey

_IDENTITY_MISMATCH = 0.5  # an identity score below this: more likely another person


def card_of(rows: Sequence[Mapping[str, Any]], changes: Mapping[LabelKey, str], marks: Sequence[str]) -> dict[str, Any]:
    """Return a person for the browser, without pictures.

    `changes` are the annotator's own labels. `marks` are short facts about the person, such as the audit's rank.
    """
    suggest = {field: found for field in ("gender", "age") if (found := _suggestion(rows, field))}
    return {
        "id": rows[0]["person_id"],
        "marks": " · ".join(marks),
        "reasons": _reasons(rows),
        "suggest": suggest,
        "shots": [
            {
                "name": row["shot"].replace("_", " ") if row["shot"] else row["path"].rsplit("/", 1)[-1],
                "file": {"sample_id": row["sample_id"], "sha256": row["sha256"] or ""},
                "given": {field: value_of(row, field) for field in LABELS},
                "labels": labels_of(row, changes),
                "suggest": {"mask": row["suggested_mask"] or ""},
                "notes": (notes := _notes(row)),
                "suspect": bool(row["suggested_mask"] or notes),
            }
            for row in rows
        ],
    }


def _suggestion(rows: Sequence[Mapping[str, Any]], field: str) -> dict[str, str] | None:
    """Return the audit's suggestion on the photo with the lowest score: suggestions may differ between profiles."""
    suspects = [row for row in rows if row[f"suggested_{field}"] is not None]
    if not suspects:
        return None
    scores = {row["sample_id"]: row[f"{field}_label_score"] for row in suspects}
    row = min(suspects, key=lambda row: scores[row["sample_id"]] or 0.0)
    value, score = str(row[f"suggested_{field}"]), scores[row["sample_id"]]
    return {"value": value, "text": f"predicted {value}" + ("" if score is None else f" ({1 - score:.0%})")}


def _notes(row: Mapping[str, Any]) -> list[str]:
    """Return the remarks on one photo: possible identity mismatch, duplicate, status."""
    notes = []
    if row["identity_score"] is not None and row["identity_score"] < _IDENTITY_MISMATCH:
        notes.append(f"another person? ({1 - row['identity_score']:.0%})")
    if row["duplicate_of"]:
        notes.append("duplicate")
    if row["status"] != "ok":
        notes.append(row["status"])
    return notes


def _reasons(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the audit's reasons, each once; `strong` where the issue is more likely than not.

    A version audited before the issue columns existed has one text per photo, without probabilities.
    """
    probability: dict[str, float] = {}
    for row in rows:
        if row["issue_reasons"] is None:
            probability |= dict.fromkeys([row["audit_reason"]] if row["audit_reason"] else [], 0.0)
            continue
        for text, value in zip(row["issue_reasons"], row["issue_probabilities"], strict=True):
            probability[text] = max(value, probability.get(text, 0.0))
    return [
        {"text": f"{text} ({value:.2f})" if value else text, "strong": value >= 0.5}
        for text, value in probability.items()
    ]
