"""From scores to issues: one row for each thing that a person may have to correct, with how likely it is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from audit.checks.findings import Findings, LabelScores
from audit.features import LIMITS
from audit.scoring import photo_name
from data_manifests.taxonomy import MASKS

COLUMNS = ("kind", "person_id", "profile_id", "sample_ids", "filed", "suggested", "probability", "reason")
LISTED = 0.05  # an issue less likely than this is counted in the order of the queue, but not listed
NEAR_DUPLICATE = 0.98  # all near-identical pairs of the benchmarks were true ones; a rule of succession on them
MOSTLY_COLOUR = 0.1  # share of grey pictures up to which grey is remarkable
_FAULT = {"blur_score": "blurred", "exposure_score": "badly exposed", "face_size_score": "tiny face"}
Issue = dict[str, Any]


def list_issues(found: Findings) -> pd.DataFrame:
    """All issues with a probability above zero, in no order, with COLUMNS. `sample_ids` are joined by a blank."""
    issues = [
        *_labels("gender", found, found.gender),
        *_labels("age", found, found.age),
        *_masks(found),
        *_strangers(found),
        *_duplicates(found),
        *_quality(found),
    ]
    return pd.DataFrame(issues, columns=list(COLUMNS))


def _labels(kind: str, found: Findings, scores: LabelScores) -> Iterator[Issue]:
    rows, units = found.rows, found.units
    firsts = pd.Series(np.arange(len(rows))).groupby(units.places).agg(list)
    for unit in np.flatnonzero((scores.right < 1) | scores.mixed).tolist():
        places = firsts[unit]
        filed, looks = scores.filed[unit], scores.looks[unit]
        if kind == "age":
            filed = int(filed)
        reason = f"{kind} filed {filed}, looks {looks}" if looks is not None else f"{kind} filed {filed}"
        if scores.mixed[unit]:
            values = sorted({str(v) for v in rows[kind].iloc[places].dropna()})
            reason = f"{kind} differs within the profile: {', '.join(values)}"
        first = rows.iloc[places[0]]
        yield {
            "kind": kind, "person_id": first["person_id"], "profile_id": first["profile_id"],
            "sample_ids": " ".join(rows["sample_id"].iloc[places]), "filed": filed,
            "suggested": looks, "reason": reason,
            "probability": 1.0 if scores.mixed[unit] else float(1 - scores.right[unit]),
        }  # fmt: skip


def _masks(found: Findings) -> Iterator[Issue]:
    """Swaps as one issue of two photos, other mask states photo by photo."""
    rows, scores = found.rows, found.mask
    swapped: dict[int, float] = {}
    for first, second, probability in scores.swaps:
        for place in (first, second):
            swapped[place] = swapped.get(place, 0.0) + probability
        a, b = (rows.iloc[place] for place in (first, second))
        yield {
            "kind": "mask", "person_id": a["person_id"], "profile_id": a["profile_id"],
            "sample_ids": f"{a['sample_id']} {b['sample_id']}", "filed": f"{a['mask']} {b['mask']}",
            "suggested": f"{b['mask']} {a['mask']}", "probability": probability,
            "reason": f"photos in each other's place: {photo_name(a)} and {photo_name(b)}",
        }  # fmt: skip
    for place in np.flatnonzero(scores.right < 1).tolist():
        left = float(1 - scores.right[place]) - swapped.get(place, 0.0)
        if left <= 0.001:
            continue
        row, looks = rows.iloc[place], MASKS[scores.looks[place]]
        yield {
            "kind": "mask", "person_id": row["person_id"], "profile_id": row["profile_id"],
            "sample_ids": row["sample_id"], "filed": row["mask"], "suggested": looks, "probability": left,
            "reason": f"mask of {photo_name(row)} filed {row['mask']}, looks {looks}",
        }  # fmt: skip


def _strangers(found: Findings) -> Iterator[Issue]:
    names = pd.factorize(found.rows["person_id"])[1]
    scores = found.identity
    for place in np.flatnonzero(scores.right < 0.999).tolist():
        row = found.rows.iloc[place]
        other = scores.looks_like[place]
        like = (
            f"; nearest is {names[other]}" if scores.right[place] < 0.5 and scores.looks_distance[place] < 0.4 else ""
        )
        yield {
            "kind": "stranger", "person_id": row["person_id"], "profile_id": row["profile_id"],
            "sample_ids": row["sample_id"], "filed": row["person_id"],
            "suggested": names[other] if like else None, "probability": float(1 - scores.right[place]),
            "reason": f"{photo_name(row)} may show somebody else (distance {scores.distance[place]:.2f}{like})",
        }  # fmt: skip


def _duplicates(found: Findings) -> Iterator[Issue]:
    for members in found.duplicates.members():
        rows = found.rows.iloc[members]
        exact = bool(found.duplicates.exact[members].all())
        people, splits = rows["person_id"].nunique(), rows["split"].dropna().nunique()
        clashes = [name for name in ("gender", "age", "mask") if len(rows[name].dropna().unique()) > 1]
        reason = f"{len(rows)} photos are {'the same file' if exact else 'nearly identical'}"
        reason += f", under {people} people" if people > 1 else ", within one person"
        reason += f", across splits {'/'.join(sorted(rows['split'].dropna().unique()))}" if splits > 1 else ""
        reason += f"; labels differ ({', '.join(clashes)}): at least one is wrong" if clashes else ""
        for person, own in rows.groupby("person_id", sort=True):
            yield {
                "kind": "duplicate", "person_id": person, "profile_id": own["profile_id"].iloc[0],
                "sample_ids": " ".join(rows["sample_id"]), "filed": None, "suggested": None,
                "probability": 1.0 if exact else NEAR_DUPLICATE, "reason": reason,
            }  # fmt: skip


def _quality(found: Findings) -> Iterator[Issue]:
    """One issue for all photos of a profile with the same faults."""
    alike: dict[tuple[str, str], list[tuple[int, float]]] = {}
    for place in range(len(found.rows)):
        faults, probability = _faults(found, place)
        if faults:
            profile = str(found.rows["profile_id"].iloc[place])
            alike.setdefault((profile, ", ".join(faults)), []).append((place, probability))
    for (profile, words), members in alike.items():
        rows = found.rows.iloc[[place for place, _ in members]]
        yield {
            "kind": "quality", "person_id": rows["person_id"].iloc[0], "profile_id": profile,
            "sample_ids": " ".join(rows["sample_id"]), "filed": None, "suggested": None,
            "probability": max(probability for _, probability in members),
            "reason": f"{words}: {', '.join(photo_name(row) for _, row in rows.iterrows())}",
        }  # fmt: skip


def _faults(found: Findings, place: int) -> tuple[list[str], float]:
    """What is wrong with a picture in words, and how surely it is unfit: 0.5 at a limit, rising to 1 (no face)."""
    f = found.features
    if f.faces[place] == 0:
        return ["no face found"], 1.0
    faults, worst = [], 0.5
    for name, limit in LIMITS.items():
        score = float(getattr(f, name)[place])
        if score < limit:
            faults.append(_FAULT[name])
            worst = max(worst, 1 - score / limit / 2)
    flags = (("several faces", f.faces[place] > 1), ("border", f.border[place]), ("odd size", found.odd_size[place]))
    faults += [word for word, flag in flags if flag]
    if f.grey[place] and f.grey.mean() < MOSTLY_COLOUR:
        faults.append("grey")
    return faults, worst
