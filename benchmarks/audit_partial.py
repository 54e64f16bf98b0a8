"""Errors found in photos with a label of one task and no persons: python -m benchmarks.audit_partial FOLDER [--json]

FOLDER is read with `--layout` and each photo is taken as a person of its own, as in class folders. For every task with
labels, 5 % of its labels are changed, photo by photo, and the labels of the other tasks are removed. Reported are the
shares of the wrong photos among the first 5 % and 10 % by the score of the task; a random order has 0.05 and 0.10.
`--photos` draws a smaller set, `--labelled` removes the label of a share of the photos.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from audit.checks import photo_rows, run_checks
from audit.checks.label_scores import photo_scores
from audit.features import Features, describe_rows
from audit.settings import AuditSettings
from benchmarks._audit_plant import PlantedErrors, flip_photos, wrong_ages, wrong_states
from data_manifests.ingest import LAYOUTS
from data_manifests.labels import TASK_COLUMN, TASKS
from data_manifests.taxonomy import AgeCuts
from data_manifests.versions.store import Store

SHARE = 0.05
DEPTHS = (0.05, 0.10)
SETTINGS = AuditSettings()


def single_photos(rows: pd.DataFrame, task: str) -> pd.DataFrame:
    """Return rows without persons, shots and the labels of other tasks."""
    others = {name for other in TASKS if other != task for name in (other, TASK_COLUMN[other])}
    empty: dict[str, Any] = {name: rows[name].mask(rows[name].notna()) for name in others}
    return rows.assign(**empty, person_id=rows["path"], profile_id=rows["path"], shot=None)


def plant(rows: pd.DataFrame, task: str, cuts: AgeCuts, rng: np.random.Generator) -> PlantedErrors:
    """Change SHARE of the labels of a task; a wrong age is one of another class, drawn from the ages of the set."""
    if task == "mask":
        return wrong_states(rows, SHARE, rng)
    return flip_photos(rows, SHARE, rng) if task == "gender" else wrong_ages(rows, SHARE, cuts, rng)


def suspicion(rows: pd.DataFrame, features: Features, task: str, cuts: AgeCuts) -> np.ndarray:
    """Return the probability (P,) that the label of each photo is wrong, NaN where it is not evaluated."""
    data = run_checks(rows, features, cuts, SETTINGS)
    if task == "mask":
        return np.asarray(1 - data.scores["mask"].p_correct)
    return 1 - photo_scores(data.groups.group_of_photo, data.scores[task], rows[task])[0]


def recalls(
    rows: pd.DataFrame, features: Features, task: str, cuts: AgeCuts, options: argparse.Namespace
) -> list[float]:
    """Return the recall at each of DEPTHS, mean over the seeds."""
    found = []
    for seed in range(options.seeds):
        rng = np.random.default_rng(seed)
        chosen = np.sort(rng.choice(len(rows), min(options.photos or len(rows), len(rows)), replace=False))
        planted = plant(single_photos(rows.iloc[chosen].reset_index(drop=True), task), task, cuts, rng)
        known = rng.random(len(chosen)) < options.labelled
        columns = list({task, TASK_COLUMN[task]})
        labelled = planted.rows.assign(**{name: planted.rows[name].where(known) for name in columns})
        score = suspicion(labelled, _take(features, chosen), task, cuts)[known]
        order, wrong = np.argsort(-np.nan_to_num(score, nan=-1.0), kind="stable"), planted.wrong[known]
        found.append([wrong[order[: round(depth * len(order))]].sum() / wrong.sum() for depth in DEPTHS])
    return [round(float(value), 3) for value in np.mean(found, axis=0)]


def _take(features: Features, chosen: np.ndarray) -> Features:
    """Return the features of some of the photos."""
    arrays = [field.name for field in fields(features) if isinstance(getattr(features, field.name), np.ndarray)]
    part = {name: getattr(features, name)[chosen] for name in arrays}
    return replace(features, **part)


def main() -> None:
    """Measure the tasks that the folder has labels for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--layout", default="folder", choices=sorted(LAYOUTS))
    parser.add_argument("--photos", type=int, help="draw this many photos for each planting")
    parser.add_argument("--labelled", type=float, default=1.0, help="keep the labels of this share of the photos")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--workspace", type=Path, help="keep results here, so that a second run reads no photo again")
    parser.add_argument("--json", action="store_true", help="print one line of JSON")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        store, cuts = Store(options.workspace or Path(scratch) / "workspace"), AgeCuts()
        table = LAYOUTS[options.layout](options.folder, root_name="photos", cuts=cuts)
        store.set_root("photos", options.folder)
        features = describe_rows(table, SETTINGS, store)
    rows = photo_rows(table, features)
    figures: dict[str, Any] = {"photos": len(rows), "faces": int(features.has_face.sum())}
    for task in TASKS:
        if len(rows[task].dropna().unique()) > 1:
            found = recalls(rows, features, task, cuts, options)
            figures |= {f"{task}_recall_at_{100 * d:.0f}pct": r for d, r in zip(DEPTHS, found, strict=True)}
    print(json.dumps(figures) if options.json else json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
