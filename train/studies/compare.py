"""What curation was worth: one recipe trained on several manifests, judged by one fixed set of validation photos.

The truth is that of one manifest (`val_ref`, the most curated one). Every other manifest is judged on its own pictures
of the same ingested photos (joined by `source_id`), so a network trained on crops is shown crops; a photo counts only
if all manifests still have it. Nobody in that set may be in any manifest's training rows.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from data_manifests.errors import ManifestError, StageError
from data_manifests.schema import USABLE
from data_manifests.versions import Manifest, Store, write_atomic
from train.evaluation import paired_scores
from train.reports import render
from train.runs import Run, command_line
from train.settings import TrainSettings

Train = Callable[[str, TrainSettings], Run]


def compare(
    store: Store, refs: Sequence[str], settings: TrainSettings, seeds: int, val_ref: str, train: Train
) -> dict[str, Any]:
    """Train each manifest with each seed (`train` may take known runs) and compare them with the first.

    Returns plain JSON values: `rows`, `people`, and for each manifest its scores (mean over seeds), their spread, and
    the difference from the first manifest with a paired 95 % interval over people; `settled` names those whose interval
    in F1 leaves zero out.
    """
    manifests = {ref: store.read(ref) for ref in refs}
    truth = common_truth(store.read(val_ref), list(manifests.values()))
    predictions: dict[str, np.ndarray] = {}
    runs: dict[str, list[str]] = {}
    for ref, manifest in manifests.items():
        found = [train(ref, settings.model_copy(update={"seed": seed})) for seed in range(seeds)]
        predictions[ref] = np.stack([_predictions_on(run, manifest, truth) for run in found])
        runs[ref] = [run.name for run in found]
    compared = paired_scores(
        truth["class_id"].to_numpy(np.int64), predictions, truth["person_id"].tolist(), np.random.default_rng(0)
    )
    for entry in compared:
        ref = entry["name"]
        entry |= {"manifest": manifests[ref].version.ref, "runs": runs[ref]}
        entry |= {"operation": manifests[ref].version.operation}
    return {
        "val": store.version(val_ref).ref,
        "rows": len(truth),
        "people": int(truth["person_id"].nunique()),
        "seeds": seeds,
        "compared": compared,
        "settled": [entry["name"] for entry in compared if entry["low"]["f1"] > 0 or entry["high"]["f1"] < 0],
        "leak": None,  # train/studies/split_leakage.py, if it is asked for
        "command": command_line(),
    }


def common_truth(val: Manifest, manifests: Sequence[Manifest]) -> pd.DataFrame:
    """source_id, person_id and class_id of the real, labelled validation photos that every manifest still has.

    Raises ManifestError when nothing is common, when age cuts differ, or when a manifest trains on one of the people.
    """
    truth = _photos(val)
    truth = truth[(truth["split"] == "val") & truth["class_id"].notna()]
    for manifest in manifests:
        ref = manifest.version.ref
        if manifest.version.age_cuts != val.version.age_cuts:
            raise ManifestError(f"{ref} has other age cuts than {val.version.ref}; their classes cannot be compared.")
        photos = _photos(manifest, synthetic=True)
        both = sorted(set(photos.loc[photos["split"] == "train", "person_id"]) & set(truth["person_id"]))
        if both:
            raise ManifestError(
                f"{ref} trains on {len(both)} people of the validation photos of {val.version.ref}, the first "
                f"{both[0]!r}. Compare versions that come from one split."
            )
        there = photos.loc[(photos["split"] == "val") & ~photos["is_synthetic"], "source_id"]
        truth = truth[truth["source_id"].isin(there)]
    if truth.empty:
        raise ManifestError(f"no validation photo of {val.version.ref} is in all of the manifests.")
    return truth[["source_id", "person_id", "class_id"]].reset_index(drop=True)


def _photos(manifest: Manifest, synthetic: bool = False) -> pd.DataFrame:
    columns = ["sample_id", "source_id", "person_id", "class_id", "split", "status", "is_synthetic"]
    table = manifest.table.select(columns).to_pandas()
    table = table[table["status"].isin(USABLE)]
    return table if synthetic else table[~table["is_synthetic"]]


def _predictions_on(run: Run, manifest: Manifest, truth: pd.DataFrame) -> np.ndarray:
    """Predicted classes (N,) of a run for the photos of `truth`, in its order."""
    predictions = pd.read_parquet(run.path / "predictions.parquet", columns=["sample_id", "predicted"])
    photos = _photos(manifest)[["sample_id", "source_id"]]
    predicted = photos.merge(predictions, on="sample_id").set_index("source_id")["predicted"]
    return predicted.loc[truth["source_id"]].to_numpy(np.int64)


def comparison_lines(result: dict[str, Any]) -> list[str]:
    """The comparison as a table of text."""
    lines = [f"{'manifest':24} {'macro F1':>9} {'± seeds':>8} {'accuracy':>9}   F1 against the first, 95 % over people"]
    for entry in result["compared"]:
        against = f"{entry['difference']['f1']:+.4f} ({entry['low']['f1']:+.4f} to {entry['high']['f1']:+.4f})"
        lines.append(
            f"{entry['name']:24} {entry['scores']['f1']:9.4f} {entry['spread']['f1']:8.4f} "
            f"{entry['scores']['accuracy']:9.4f}   {'' if entry is result['compared'][0] else against}".rstrip()
        )
    return lines


def write_comparison(result: dict[str, Any], store: Store) -> Path:
    """Write compare-<serial>.json and .html below `workspace/comparisons`; gives the page."""
    folder = store.workspace / "comparisons"
    folder.mkdir(parents=True, exist_ok=True)
    serial = 1
    while True:
        try:
            (folder / f"compare-{serial:04d}.json").touch(exist_ok=False)  # the claim
            break
        except FileExistsError:
            serial += 1
    name = folder / f"compare-{serial:04d}"
    bound = max(max(abs(entry["low"]["f1"]), abs(entry["high"]["f1"]), 1e-3) for entry in result["compared"])
    try:
        page = render("compare.html.j2", result=result, name=name.name, bound=bound)
        write_atomic(name.with_suffix(".html"), page.encode())
        write_atomic(name.with_suffix(".json"), json.dumps(result, indent=2).encode())
    except OSError as error:
        name.with_suffix(".json").unlink()
        raise StageError(f"{name}.html could not be written: {error.strerror}. Free some space.") from None
    return name.with_suffix(".html")
