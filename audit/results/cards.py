"""Cards of the report: a person, the issues, and the photos that they are about."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from audit.checks import STATE_TEXT, AuditData, all_checks, find_check
from audit.scoring import photo_name
from data_manifests.taxonomy import SHOT_MASK, SHOTS, AgeCuts
from data_manifests.versions import Store
from reporting.thumbnails import thumbnail_url

THUMBNAIL_PX = 160, 320  # width and height at most
MAX_PHOTOS = 9  # of a person
MAX_OTHERS = 3  # photos of other people that an issue is about
_SHOT_ORDER = {shot: order for order, shot in enumerate(SHOTS)}


def has_people(rows: pd.DataFrame) -> bool:
    """Return False if no persons are known, so that ingest made each photo (P) a person named after its file."""
    return bool((rows["person_id"] != rows["path"]).any())


def person_cards(data: AuditData, queue: pd.DataFrame, store: Store, people: int) -> Iterator[dict[str, Any]]:
    """Yield a card for each of the first `people` of the queue: the issues, and the photos with the checks that found
    an issue, those of other people last.
    """
    rows_of_person = data.rows.groupby("person_id").indices
    position_of = dict(zip(data.rows["sample_id"], range(len(data.rows)), strict=True))
    labels_of_sample = _marked_samples(queue)
    for person, issues in list(queue.groupby("person_id", sort=False))[:people]:
        rows: list[Any] = data.rows.iloc[rows_of_person[person]].to_dict("records")
        rows.sort(key=lambda row: (row["sample_id"] not in labels_of_sample, row["path"]))
        shown = sorted(rows[:MAX_PHOTOS], key=lambda row: (_SHOT_ORDER.get(row["shot"], len(_SHOT_ORDER)), row["path"]))
        own = {row["sample_id"] for row in rows}
        concerned = dict.fromkeys(sample for samples in issues["sample_ids"] for sample in samples.split())
        others = [position_of[sample] for sample in concerned if sample not in own][:MAX_OTHERS]
        others_shown = data.rows.iloc[others].to_dict("records")
        yield {
            "rank": int(issues["rank"].iloc[0]),
            "person": person,
            "given": ", ".join(_labels(shown, data.cuts)),
            "value": float(issues["expected_value"].iloc[0]),
            "issues": [
                issue | {"label": find_check(issue["kind"]).label, "reason": _short_reason(issue["reason"], shown)}
                for issue in issues.to_dict("records")
            ],
            "photos": [_photo(row, str(person), labels_of_sample, store) for row in (*shown, *others_shown)],
        }


def _photo(
    row: Mapping[Any, Any], person: str, labels_of_sample: Mapping[str, list[str]], store: Store
) -> dict[str, Any]:
    is_other = row["person_id"] != person
    return {
        "name": row["path"] if row["person_id"] == row["path"] else photo_name(row),
        "other": row["person_id"] if is_other and row["person_id"] != row["path"] else "",
        "is_other": is_other,
        "mask": _unusual_mask(row),
        "labels": labels_of_sample.get(row["sample_id"], []),
        "src": thumbnail_url(store, row, *THUMBNAIL_PX),
    }


def _labels(rows: Sequence[Mapping[Any, Any]], cuts: AgeCuts) -> Iterator[str]:
    """Yield the labels of a person: gender, age or age class, and the mask state of a single photo."""
    first = rows[0]
    if isinstance(first["gender"], str):
        yield first["gender"]
    if not pd.isna(first["age"]):
        yield str(int(first["age"]))
    elif not pd.isna(first["age_class"]):
        yield cuts.display_names[int(first["age_class"])]
    if len(rows) == 1 and (mask := _unusual_mask(first)):
        yield STATE_TEXT[mask]


def _short_reason(reason: str, rows: Sequence[Mapping[Any, Any]]) -> str:
    """Return a reason without the name of the photo where a card has one photo."""
    if len(rows) > 1:
        return reason
    name = photo_name(rows[0])
    return reason.removeprefix(f"{name}: ").removesuffix(f": {name}")


def _marked_samples(queue: pd.DataFrame) -> dict[str, list[str]]:
    """Return the labels of the checks that found an issue with each sample, for the checks that mark photos."""
    label_of = {check.name: check.label for check in all_checks() if check.marks_photos}
    found: dict[str, list[str]] = {}
    for issue in queue[queue["kind"].isin(label_of)].to_dict("records"):
        label = label_of[issue["kind"]]
        for sample in issue["sample_ids"].split():
            if label not in found.setdefault(sample, []):
                found[sample].append(label)
    return found


def _unusual_mask(row: Mapping[Any, Any]) -> str:
    """Return the given mask state, or "" if the name of the shot implies it."""
    return row["mask"] if isinstance(row["mask"], str) and SHOT_MASK.get(row["shot"]) != row["mask"] else ""
