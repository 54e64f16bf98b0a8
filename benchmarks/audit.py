"""Review effort saved by an audit, with known errors: python -m benchmarks.audit [--json] [--persons N] [--seeds N]

Errors are planted into rendered people and, if FACES_DIR names a folder of real portraits with a labels.csv, into
those: gender flips, age classes (adjacent and far), swapped shots, exchanged photos of two people; of all photos of a
person, and (`_photos`) of photos drawn one by one. Photos are ordered by the audit's score for that field, and by
plain cleanlab: out-of-fold logistic regression on the same identity vectors, self-confidence. `recall_at_5pct` is the
share of the wrong photos among the first 5 % of all; 5 % of the people are wrong unless a name contains 2 %, so 1.00
is the maximum. A random order has 0.05. Plantings of adjacent ages differ by 0.07 (standard deviation), so five of
them are not conclusive; `recall_at_5pct_se` is the standard error of the mean. The given labels of the portraits have
errors of their own, which take first places. Duplicates are written to disk: the same bytes, saved again at quality 60
and 85, as PNG, and at nine tenths of the size, under another person.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pyarrow as pa
from cleanlab.rank import get_label_quality_scores
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from sklearn.model_selection import GroupKFold, cross_val_predict

from audit.checks import AuditData, default_weights, list_issues, photo_rows, run_checks
from audit.checks.label_scores import photo_scores
from audit.features import Features, describe_rows
from audit.results import rank_people
from audit.scoring.label_noise import SUSPECT
from audit.scoring.neighbours import find_near_hashes, find_near_vectors
from audit.settings import AuditSettings
from benchmarks._audit_plant import (
    PlantedErrors,
    age_classes,
    exchange_photos,
    flip_gender,
    flip_photos,
    swap_shots,
    wrong_age,
    wrong_states,
)
from data_manifests.ingest import LAYOUTS
from data_manifests.taxonomy import GENDERS, AgeCuts
from data_manifests.versions.store import Store
from pipeline.photos.images import encode, load_rgb
from synth.demo_faces.dataset.demo_dataset import write_demo

DEPTHS = (0.01, 0.02, 0.05, 0.10, 0.20)
SETTINGS = AuditSettings()
SHOT_CASES = ("gender_photos", "mask_photos", "mask", "stranger")  # cases that need several photos of a person
Report = dict[str, Any]


def score_order(suspicion: np.ndarray, wrong: np.ndarray) -> dict[str, float]:
    """Return recall at DEPTHS and average precision of photos (P,) by descending suspicion; NaN comes last."""
    suspicion = np.nan_to_num(suspicion, nan=-np.inf)
    order = np.argsort(-suspicion, kind="stable")
    found = {f"recall_at_{depth * 100:.0f}pct": wrong[order[: round(depth * len(order))]].sum() for depth in DEPTHS}
    recalls = {name: float(count / wrong.sum()) for name, count in found.items()}
    return recalls | {"average_precision": float(average_precision_score(wrong, np.maximum(suspicion, -1e9)))}


def plain_cleanlab(identity: np.ndarray, labels: np.ndarray, persons: np.ndarray) -> np.ndarray:
    """Return the baseline: suspicion (P,) from five folds by person and self-confidence."""
    has_face = np.isfinite(identity[:, 0])
    suspicion = np.full(len(labels), np.nan)
    classes, codes = np.unique(labels[has_face], return_inverse=True)
    folds = GroupKFold(min(5, len(np.unique(persons[has_face]))), shuffle=True, random_state=0)
    probabilities = cross_val_predict(
        LogisticRegression(max_iter=1000),
        identity[has_face],
        codes,
        groups=persons[has_face],
        cv=folds,
        method="predict_proba",
    )
    assert probabilities.shape[1] == len(classes)
    suspicion[has_face] = 1 - get_label_quality_scores(codes, probabilities, method="self_confidence")
    return suspicion


def field_scores(data: AuditData, field: str) -> np.ndarray:
    """Return the audit's suspicion (P,) for one field."""
    if field in ("gender", "age"):
        return 1 - photo_scores(data.groups.group_of_photo, data.scores[field], data.rows[field])[0]
    p_correct: np.ndarray = data.scores["identity" if field == "stranger" else field].p_correct
    return 1 - p_correct


def run_case(name: str, planted: PlantedErrors, features: Features, cuts: AgeCuts) -> Report:
    """Score one planting by the audit and by plain cleanlab."""
    field = name.split("_")[0]
    data = run_checks(planted.rows, features, cuts, SETTINGS)
    scores: Report = {"audit": score_order(field_scores(data, field), planted.wrong)}
    persons = pd.factorize(planted.rows["person_id"])[0]
    if field != "stranger":
        labels = age_classes(planted.rows, cuts) if field == "age" else planted.rows[field].to_numpy(str)
        scores["cleanlab"] = score_order(plain_cleanlab(features.identity, labels, persons), planted.wrong)
    scores["calibration"] = calibration(data, field, planted.wrong)
    if field in ("gender", "age"):
        scores["precision_by_group"] = group_precision(data, field, planted, cuts)
    return scores


def calibration(data: AuditData, field: str, wrong: np.ndarray) -> dict[str, float]:
    """Return the photos flagged (probably wrong), the share of them that is wrong, and errors expected and planted."""
    suspicion = field_scores(data, field)
    flagged = suspicion > 1 - SUSPECT
    precision = float(wrong[flagged].mean()) if flagged.any() else float("nan")
    return {
        "flagged": int(flagged.sum()),
        "precision": precision,
        "expected": float(np.nansum(suspicion)),
        "planted": int(wrong.sum()),
    }


def group_precision(data: AuditData, field: str, planted: PlantedErrors, cuts: AgeCuts) -> dict[str, dict[str, float]]:
    """Return the share of wrong photos among those flagged, per given gender and age class."""
    flagged = field_scores(data, field) > 1 - SUSPECT
    classes, groups = age_classes(planted.rows, cuts), {}
    for gender in GENDERS:
        for age_class, name in enumerate(cuts.names):
            here = (planted.rows["gender"] == gender).to_numpy() & (classes == age_class) & flagged
            share = float(planted.wrong[here].mean()) if here.any() else float("nan")
            groups[f"{gender} {name}"] = {"flagged": int(here.sum()), "precision": share}
    return groups


def label_cases(rows: pd.DataFrame, features: Features, cuts: AgeCuts, seeds: int) -> Report:
    """Score all kinds of planting, each averaged over `seeds` draws."""
    shots = rows["shot"].notna().all()
    cases: Report = {}
    for name in ("gender_2pct", "gender", "age_far", "age_adjacent", *(SHOT_CASES if shots else ())):
        runs = []
        for seed in range(seeds):
            rng = np.random.default_rng([seed, 6])
            planted = {
                "gender_2pct": lambda rng=rng: flip_gender(rows, 0.02, rng),
                "gender": lambda rng=rng: flip_gender(rows, 0.05, rng),
                "age_far": lambda rng=rng: wrong_age(rows, 0.05, True, cuts, rng),
                "age_adjacent": lambda rng=rng: wrong_age(rows, 0.05, False, cuts, rng),
                "gender_photos": lambda rng=rng: flip_photos(rows, 0.05, rng),
                "mask_photos": lambda rng=rng: wrong_states(rows, 0.05, rng),
                "mask": lambda rng=rng: swap_shots(rows, 0.05, rng),
                "stranger": lambda rng=rng: exchange_photos(rows, 0.05, rng),
            }[name]()
            runs.append(run_case(name, planted, features, cuts))
        recalls = [run["audit"]["recall_at_5pct"] for run in runs]
        cases[name] = mean_of(runs) | {"recall_at_5pct_se": round(float(np.std(recalls) / len(recalls) ** 0.5), 4)}
    return cases


def mean_of(runs: list[Any]) -> Any:
    """Return the mean of reports of equal shape, without NaN."""
    if isinstance(runs[0], dict):
        return {key: mean_of([run[key] for run in runs if key in run]) for key in runs[0]}
    values = np.array(runs, float)
    return round(float(np.nanmean(values)), 4) if np.isfinite(values).any() else None


def review_session(rows: pd.DataFrame, features: Features, cuts: AgeCuts) -> dict[str, float]:
    """Return errors found per 100 people reviewed, by the queue and by id; three kinds of error, 3 % of people each."""
    rng = np.random.default_rng(11)
    wrong: set[str] = set()
    planted = rows
    makers = [lambda r: flip_gender(r, 0.03, rng), lambda r: wrong_age(r, 0.03, False, cuts, rng)]
    if rows["shot"].notna().all():
        makers.append(lambda r: swap_shots(r, 0.03, rng))
    for make in makers:
        step = make(planted)
        planted, wrong = step.rows, wrong | set(step.rows["person_id"][step.wrong])
    ranked = rank_people(
        list_issues(run_checks(planted, features, cuts, SETTINGS)), rows["person_id"], default_weights()
    )
    first = max(1, round(0.1 * len(ranked)))
    by_id = sorted(ranked["person_id"])[:first]
    return {
        "people_looked_at": first,
        "people_wrong": len(wrong),
        "found_per_100_by_suspicion": round(100 * len(wrong & set(ranked["person_id"][:first])) / first, 1),
        "found_per_100_by_id": round(100 * len(wrong & set(by_id)) / first, 1),
    }


def duplicate_case(store: Store, rows: pd.DataFrame, folder: Path, count: int = 40) -> dict[str, int]:
    """Write copies of photos beside the originals, audit all, and return the numbers of pairs found and false."""
    rng = np.random.default_rng(5)
    chosen = rows.iloc[rng.choice(len(rows), min(count * 3, len(rows)), replace=False)]
    records, truth = [], set()
    for number, row in enumerate(chosen.to_dict("records")):
        source = store.file_of(row["root"], row["path"])
        name = f"{number:04d}{source.suffix}"
        shutil.copyfile(source, folder / name)
        records.append({"path": name, "person_id": row["person_id"], "gender": row["gender"], "age": int(row["age"])})
        if number >= count:
            continue
        copy = f"{number:04d}copy{'.png' if number % 5 == 3 else '.jpg'}"
        image = load_rgb(source)
        if number % 5 == 0:
            shutil.copyfile(source, folder / copy)
        elif number % 5 in (1, 2):
            quality = [cv2.IMWRITE_JPEG_QUALITY, 60 if number % 5 == 1 else 85]
            (folder / copy).write_bytes(cv2.imencode(".jpg", image[..., ::-1], quality)[1].tobytes())
        else:
            small = cv2.resize(image, None, fx=0.9, fy=0.9, interpolation=cv2.INTER_AREA)
            (folder / copy).write_bytes(encode(image if number % 5 == 3 else small, Path(copy).suffix))
        records.append({"path": copy, "person_id": f"copy-{number}", "gender": row["gender"], "age": int(row["age"])})
        truth.add((name, copy))
    pd.DataFrame(records).to_csv(folder / "labels.csv", index=False)
    table = LAYOUTS["table"](folder, root_name="copies", cuts=AgeCuts(), mask="none")
    store.set_root("copies", folder)
    features = describe_rows(table, SETTINGS, store)
    photos = photo_rows(table, features)
    data = run_checks(photos, features, AgeCuts(), SETTINGS)
    pairs = set()
    for members in data.scores["duplicate"].members():
        names = sorted(photos["path"].iloc[members])
        pairs |= {(a, b) for i, a in enumerate(names) for b in names[i + 1 :]}
    return {
        "duplicates_planted": len(truth),
        "duplicates_found": len(pairs & truth),
        "duplicates_false": len(pairs - truth),
    }


def scale_case(hashes: int, vectors: int) -> dict[str, float]:
    """Return seconds and pairs found of near-duplicate search among drawn hashes and vectors, 1000 near pairs each."""
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 1 << 63, hashes, dtype=np.uint64) * np.uint64(2)
    source, copy = rng.choice(hashes, (2, 1000), replace=False)
    codes[copy] = codes[source]
    for bit in rng.integers(0, 64, (4, 1000)).astype(np.uint64):
        codes[copy] ^= np.uint64(1) << bit
    start = time.process_time()
    found = {tuple(pair) for pair in find_near_hashes(codes, 4).tolist()}
    hash_s = time.process_time() - start
    hit = len(found & {tuple(sorted(pair)) for pair in zip(source.tolist(), copy.tolist(), strict=True)})
    points = rng.standard_normal((vectors, 128)).astype(np.float32) * np.float32(1.35 / 128**0.5)
    source, copy = rng.choice(vectors, (2, 1000), replace=False)
    points[copy] = points[source] + rng.standard_normal((1000, 128)).astype(np.float32) * np.float32(0.1 / 128**0.5)
    start = time.process_time()
    near = {tuple(pair) for pair in find_near_vectors(points, 0.12, rng).tolist()}
    vector_s = time.process_time() - start
    met = len(near & {tuple(sorted(pair)) for pair in zip(source.tolist(), copy.tolist(), strict=True)})
    return {
        "hashes": hashes, "hashes_cpu_s": round(hash_s, 1), "hash_pairs_found_of_1000": hit,
        "vectors": vectors, "vectors_cpu_s": round(vector_s, 1), "vector_pairs_found_of_1000": met,
    }  # fmt: skip


def true_demo(demo: Path) -> pa.Table:
    """Return the rendered people without their planted errors: labels of truth.csv, without exchanged photos."""
    table = LAYOUTS["profiles"](demo, root_name="demo", cuts=AgeCuts())
    truth = pd.read_csv(demo / "truth.csv", dtype=str, keep_default_na=False).set_index("path")
    paths = table.column("path").to_pandas()
    truth = truth.loc[paths]
    moved = truth["error"].isin(["incorrect_swapped", "normal_swapped", "stranger", "duplicate"]).to_numpy()
    table = table.set_column(table.column_names.index("gender"), "gender", pa.array(truth["gender"].to_list()))
    ages = pa.array(truth["age"].astype(int).to_list(), pa.int32())
    table = table.set_column(table.column_names.index("age"), "age", ages)
    return table.filter(pa.array(~moved))


def audit_photos(store: Store, table: pa.Table, cuts: AgeCuts, seeds: int, settings: AuditSettings) -> Report:
    """Return all figures for one set of photos."""
    start = time.perf_counter()
    features = describe_rows(table, settings, store)
    rows = photo_rows(table, features)
    described = time.perf_counter() - start
    start = time.perf_counter()
    data = run_checks(rows, features, cuts, SETTINGS)
    report: Report = {
        "photos": len(rows),
        "describe_s": round(described, 1),
        "reused": features.reused,
        "score_s": round(time.perf_counter() - start, 1),
        "probes": data.probes,
    }
    report |= label_cases(rows, features, cuts, seeds)
    report["review"] = review_session(rows, features, cuts)
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--persons", type=int, default=150, help="render this many people")
    parser.add_argument("--demo", type=Path, help="use a demo rendered before, with its planted errors")
    parser.add_argument("--seeds", type=int, default=20, help="average this many plantings")
    parser.add_argument("--describer", default=SETTINGS.describer, help="choose the describer backend")
    parser.add_argument("--workspace", type=Path, help="keep results here, so that a second run reads no photo again")
    parser.add_argument(
        "--leave-out", nargs="*", default=[], help="leave out these files, whose given labels are known to be wrong"
    )
    parser.add_argument("--json", action="store_true", help="print one line of JSON")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        workspace = options.workspace or Path(scratch) / "workspace"
        figures = measure(Store(workspace), Path(scratch), options)
    print(json.dumps(figures) if options.json else json.dumps(figures, indent=2))


def measure(store: Store, scratch: Path, options: argparse.Namespace) -> Report:
    """Return all figures, the main ones on top, from real portraits if FACES_DIR names them."""
    settings = AuditSettings(describer=options.describer)
    demo = options.demo or scratch / "demo"
    write_demo(demo, options.persons, 6) if not options.demo else None
    store.set_root("demo", demo)
    table = true_demo(demo)
    figures: Report = {"demo": audit_photos(store, table, AgeCuts(), options.seeds, settings)}
    best = figures["demo"]
    if os.environ.get("FACES_DIR"):
        faces = Path(os.environ["FACES_DIR"])
        table = LAYOUTS["table"](faces, root_name="faces", cuts=AgeCuts(45, 60), columns={"path": "file"})
        table = table.filter(pa.array([Path(path).name not in options.leave_out for path in table["path"].to_pylist()]))
        store.set_root("faces", faces)
        best = figures["faces"] = audit_photos(store, table, AgeCuts(45, 60), options.seeds, settings)
    folder = scratch / "copies"
    folder.mkdir()
    headline = {f"{case}_recall_at_5pct": best[case]["audit"]["recall_at_5pct"] for case in ("age_far", "age_adjacent")}
    headline["gender_recall_at_5pct"] = best["gender"]["audit"]["recall_at_5pct"]
    return (
        headline
        | duplicate_case(store, table.to_pandas(), folder)
        | figures
        | {"scale": scale_case(1_000_000, 200_000)}
    )


if __name__ == "__main__":
    main()
