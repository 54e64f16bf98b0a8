"""`audit.html`: one file, pictures inside, to be read from top to bottom."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from audit.checks import Findings
from audit.results.fairness import by_group
from audit.scoring import photo_name
from data_manifests.errors import ToolkitError
from data_manifests.taxonomy import SHOT_MASK, SHOTS, AgeCuts
from data_manifests.versions import Store, Version, write_atomic
from pipeline.photos import load_rgb

THUMB_PX = 160
KINDS = ("gender", "age", "mask", "stranger", "duplicate", "quality")
_SHOWN = 9  # photos of a person
_PLACE = {shot: place for place, shot in enumerate(SHOTS)}


def write_report(
    path: Path,
    version: Version,
    found: Findings,
    ordered: pd.DataFrame,
    ranked: pd.DataFrame,
    cuts: AgeCuts,
    store: Store,
    people: int,
) -> None:
    """Render the report with the first `people` people of the queue."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    page = environment.get_template("report.html.j2").render(
        version=version,
        source=version.parents[0].split("#")[0] if version.parents else version.ref,
        photos=len(found.rows),
        people=len(ranked),
        faces=int(found.features.has_face.sum()),
        notes=found.notes,
        counts=_counts(ordered),
        probes=[_probe(name, values) for name, values in found.probes.items()],
        fairness=by_group(found, cuts).to_dict("records"),
        curve=_curve(ranked),
        cards=list(_cards(found, ordered, store, people)),
    )
    write_atomic(path, page.encode())


def _counts(ordered: pd.DataFrame) -> list[dict[str, Any]]:
    rows = []
    for kind in KINDS:
        of_kind = ordered[ordered["kind"] == kind]["probability"]
        rows.append({"kind": kind, "likely": int((of_kind >= 0.5).sum()), "expected": round(float(of_kind.sum()), 1)})
    return rows


def _probe(name: str, values: dict[str, Any]) -> dict[str, str]:
    """A probe's figures in words."""
    rate = values.get("estimated_error_rate")
    judged = ", ".join(f"{values[key]:,} {key}" for key in ("people", "photos") if key in values)
    if "mean_absolute_error_years" in values:
        off, f1 = values["mean_absolute_error_years"], values["class_macro_f1"]
        good = f"off by {off:.1f} years; macro F1 of the classes {f1:.2f}"
    else:
        good = f"{100 * values['accuracy']:.1f} % right" if "accuracy" in values else "not judged"
    return {"name": name, "says": f"{good}; {judged}", "wrong": "–" if rate is None else f"{100 * rate:.1f} %"}


def _curve(ranked: pd.DataFrame, width: int = 460, height: int = 170) -> dict[str, Any]:
    """Expected issues found against people looked at: points of an SVG line, and two readings."""
    total = float(ranked["expected_errors"].sum())
    share = np.concatenate([[0.0], ranked["expected_errors"].cumsum() / total if total else ranked["rank"] * 0.0])
    x = np.linspace(0, 1, len(share))
    kept = np.unique(np.linspace(0, len(share) - 1, 120).astype(int))
    points = " ".join(f"{x[i] * width:.1f},{(1 - share[i]) * height:.1f}" for i in kept)
    readings = [(percent, float(np.interp(percent / 100, x, share))) for percent in (1, 5, 10, 20)]
    return {"width": width, "height": height, "points": points, "readings": readings, "total": round(total, 1)}


def _cards(found: Findings, ordered: pd.DataFrame, store: Store, people: int) -> Iterator[dict[str, Any]]:
    """One card per person: the issues and every photo, suspects marked."""
    by_person = found.rows.groupby("person_id").indices
    for person, issues in list(ordered.groupby("person_id", sort=False))[:people]:
        suspects: dict[str, list[str]] = {}
        for issue in issues.to_dict("records"):
            if issue["kind"] not in ("gender", "age"):  # those are about all of the photos
                for sample in issue["sample_ids"].split():
                    suspects.setdefault(sample, []).append(issue["kind"])
        rows = found.rows.iloc[by_person[person]].to_dict("records")
        rows.sort(key=lambda row: (row["sample_id"] not in suspects, row["path"]))
        shown = sorted(rows[:_SHOWN], key=lambda row: (_PLACE.get(row["shot"], len(_PLACE)), row["path"]))
        first = shown[0]
        yield {
            "rank": int(issues["rank"].iloc[0]),
            "person": person,
            "filed": ", ".join(str(v) for v in (first["gender"], _whole(first["age"])) if not pd.isna(v)),
            "value": float(issues["expected_value"].iloc[0]),
            "issues": issues.to_dict("records"),
            "photos": [
                {
                    "name": photo_name(row),
                    "mask": _unusual_mask(row),
                    "kinds": list(dict.fromkeys(suspects.get(row["sample_id"], []))),
                    "src": _thumb(store, row),
                }
                for row in shown
            ],
        }


def _unusual_mask(row: Any) -> str:
    """The mask state as filed, unless the shot's name says it already."""
    return row["mask"] if isinstance(row["mask"], str) and SHOT_MASK.get(row["shot"]) != row["mask"] else ""


def _whole(age: float) -> int | None:
    return None if pd.isna(age) else int(age)


def _thumb(store: Store, row: Any) -> str:
    """A small JPEG as a data address; empty if the picture is gone."""
    try:
        image = load_rgb(store.file_of(row["root"], row["path"]))
    except ToolkitError:
        return ""
    size = THUMB_PX, max(1, round(image.shape[0] * THUMB_PX / image.shape[1]))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    done, data = cv2.imencode(".jpg", small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 82])
    return f"data:image/jpeg;base64,{base64.b64encode(data.tobytes()).decode()}" if done else ""
