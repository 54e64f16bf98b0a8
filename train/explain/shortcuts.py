"""Shortcuts of a network: labels that it predicts better than chance from parts of a photo without the face.

as it is          the photo
face only         everything outside the face box painted
without the face  the face box painted
background only   the person painted; the outline remains, and with it traces of hair and shoulders

The face box is the smallest upright rectangle around the face of train/explain/regions.py: unlike the outline of the
face, it does not reveal the shape of what it covers. The paint is the mean colour of the network's normalisation, which
is zero after it. "Background only" needs a known background (train/explain/regions.py), and is omitted for pictures
with a painted background, which have nothing behind the person.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import torch
from tqdm import tqdm

from data_manifests.errors import StageError
from data_manifests.versions import Manifest, Store
from pipeline.runs import TARGETS, Run, find_run
from reporting.mistakes import labels_in
from reporting.tables import score_text
from reporting.thumbnails import image_url
from train.data import read_pixels
from train.evaluation import (
    TASKS,
    accuracy,
    bootstrap_counts,
    confusion_of,
    load_best,
    not_measurable,
    percentile_interval,
    task_counts,
    usable_rows,
)
from train.explain.attention import as_image
from train.explain.regions import RegionFinder, find_regions
from train.models import Trained, log_probability
from train.reports import render

BATCH, EXAMPLES = 64, 5
AS_IT_IS, FACE_ONLY, NO_FACE, BACKGROUND_ONLY = "as it is", "face only", "without the face", "background only"
_WITHOUT_FACE = {NO_FACE: "without the face", BACKGROUND_ONLY: "from the background alone"}
Echo = Callable[[str], None]


def audit_shortcuts(
    store: Store, name: str, ref: str | None, *, split: str = "val", painted_ref: str | None = None, echo: Echo
) -> Path:
    """Evaluate a run's network on parts of the photos; write a table, a page and its figures into the run's folder.

    Returns the page. All rows of the table count only photos with a known face. Raises StageError when there are none.
    """
    run = find_run(store, name)
    manifest = store.read(ref or run.about()["manifest"])
    trained = load_best(run)
    trained.check_taxonomy(manifest.cuts, manifest.version.ref)
    finder = find_regions(store, manifest, trained.settings.data, store.read(painted_ref) if painted_ref else None)
    own_paint = painted_ref is None and finder.colour_rgb is not None  # these pictures have painted backgrounds
    labelled = usable_rows(manifest, split, tasks=trained.tasks)
    rows, faces, backgrounds = _with_regions(labelled, manifest, finder)
    pixels = read_pixels(rows, store, trained.settings.data, manifest.version.ref).take(np.arange(rows.num_rows))
    views = part_views(pixels, faces, None if own_paint else backgrounds, mean_colour(trained))
    columns = ["sample_id", "person_id", "class_id", *TARGETS.values()]
    frame = rows.select(columns).to_pandas().rename(columns={"class_id": "target"})
    lines = []
    for view, pictures in views.items():
        frame[view] = predicted_classes(trained, pictures, view)
        known = np.ones(len(frame), bool) if view != BACKGROUND_ONLY else backgrounds.any((1, 2))
        lines.append(score_view(view, frame[known], trained.tasks))
    about: dict[str, Any] = {
        "run": run.name,
        "manifest": manifest.version.ref,
        "split": split,
        "photos": len(frame),
        "without_face": labelled.num_rows - len(frame),
        "people": int(frame["person_id"].nunique()),
        "own_paint": own_paint,
        "lines": lines,
        "shortcuts": shortcuts_in(lines),
    }
    page = _write_results(run, about, frame, views)
    for line in text_lines(lines):
        echo(line)
    for sentence in about["shortcuts"] or ["Without the face, no label is predicted better than chance."]:
        echo(f"  {sentence}")
    echo(f"{run.name} on {len(frame)} photos of {manifest.version.ref}, {split}: wrote {page}")
    return page


def _write_results(run: Run, about: dict[str, Any], frame: pd.DataFrame, views: Mapping[str, np.ndarray]) -> Path:
    """Write predictions, figures and the page into the run's folder; return the page."""
    run.write_table("shortcuts/shortcuts.parquet", frame)
    run.write_json("shortcuts/shortcuts.json", about)
    people = frame.sample(frac=1, random_state=0).drop_duplicates("person_id").index[:EXAMPLES]
    examples = {view: [image_url(shown[row]) for row in people] for view, shown in views.items()}
    page = render("shortcuts.html.j2", about=about, pictures=examples, tasks=measured_tasks(about["lines"]))
    run.write("shortcuts/index.html", page.encode())
    return run.path / "shortcuts" / "index.html"


def part_views(
    pixels: np.ndarray, faces: np.ndarray, backgrounds: np.ndarray | None, paint_rgb: np.ndarray
) -> dict[str, np.ndarray]:
    """Return pictures uint8 (N, H, W, 3) with parts painted, by view; the masks (N, H, W) are in [0, 1]."""
    views = {AS_IT_IS: pixels, FACE_ONLY: keep_part(pixels, faces, paint_rgb)}
    views[NO_FACE] = keep_part(pixels, 1 - faces, paint_rgb)
    if backgrounds is not None and backgrounds.any():
        views[BACKGROUND_ONLY] = keep_part(pixels, backgrounds, paint_rgb)
    return views


def keep_part(pixels: np.ndarray, kept: np.ndarray, paint_rgb: np.ndarray) -> np.ndarray:
    """Blend pictures uint8 (N, H, W, 3) where `kept` (N, H, W) is 1 with paint (3,) where it is 0."""
    out = np.empty_like(pixels)
    for row, (picture, mask) in enumerate(zip(pixels, kept, strict=True)):  # one by one, to save memory
        out[row] = (picture * mask[..., None] + paint_rgb * (1 - mask[..., None])).round().astype(np.uint8)
    return out


def face_box(face: np.ndarray) -> np.ndarray:
    """Return the smallest upright rectangle around a face (H, W) in [0, 1], as float32 (H, W) of 0 and 1."""
    rows, columns = (np.flatnonzero((face > 0.5).any(axis)) for axis in (1, 0))
    box = np.zeros(face.shape, np.float32)
    if len(rows):
        box[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = 1
    return box


def mean_colour(trained: Trained) -> np.ndarray:
    """Return the mean colour (3,) of the network's normalisation, in levels 0 to 255."""
    return trained.model.mean.flatten().cpu().numpy() * 255


@torch.inference_mode()
def predicted_classes(trained: Trained, pictures: np.ndarray, title: str) -> np.ndarray:
    """Return predicted classes (N,) of pictures uint8 (N, H, W, 3)."""
    model, out = trained.model.eval(), []
    device = next(model.parameters()).device
    for start in tqdm(range(0, len(pictures), BATCH), title, unit="batch", leave=False):
        image = as_image(pictures[start : start + BATCH]).to(device, memory_format=torch.channels_last)
        out.append(log_probability(model(image), model.head).argmax(1).cpu().numpy())
    return np.concatenate(out)


def score_view(view: str, frame: pd.DataFrame, tasks: Sequence[str] = TASKS[1:]) -> dict[str, Any]:
    """Return accuracy and balanced accuracy (mean recall) of each measurable task, with 95 % intervals over people.

    `constant` is the accuracy of always predicting the most frequent label, `chance` the balanced accuracy of any
    prediction that does not depend on the photo. `tasks` are those that the network predicts. Raises StageError if none
    can be measured.
    """
    labels, predicted = labels_in(frame), frame[view].to_numpy(np.int64)
    draws = bootstrap_counts(labels, predicted, frame["person_id"].to_numpy(), np.random.default_rng(0))
    counts = confusion_of(labels, predicted)
    without = not_measurable(counts, tasks, "these photos")
    measured = [task for task in TASKS if task not in without]
    if not measured:
        causes = ", ".join(f"{task} is {score_text(None, without[task])}" for task in tasks)
        raise StageError(f"no shortcut can be measured: {causes}. Choose another --split.")
    line: dict[str, Any] = {"view": view, "photos": len(frame)}
    for task in measured:
        table, drawn = task_counts(counts, task), task_counts(draws, task)
        rows = table.sum(1)
        line[task] = {
            "accuracy": float(accuracy(table)),
            "interval": list(percentile_interval(accuracy(drawn))),
            "balanced": float(balanced_accuracy(table)),
            "balanced_interval": list(percentile_interval(balanced_accuracy(drawn))),
            "constant": float(rows.max() / rows.sum()),
            "chance": 1 / int((rows > 0).sum()),
        }
    return line


def measured_tasks(lines: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the tasks that all lines measure."""
    return [task for task in TASKS if all(task in line for line in lines)]


def balanced_accuracy(counts: np.ndarray) -> np.ndarray:
    """Return the mean recall (...) of the labels with rows, from counts (..., K, K)."""
    rows = counts.sum(-1)
    recall = np.diagonal(counts, axis1=-2, axis2=-1) / np.maximum(rows, 1)
    return recall.sum(-1) / np.maximum((rows > 0).sum(-1), 1)


def shortcuts_in(lines: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a sentence for each task predicted without the face, its balanced accuracy being clear of chance."""
    return [
        f"{'The class' if task == 'class' else task.capitalize()} is predicted {_WITHOUT_FACE[line['view']]}: "
        f"balanced accuracy {line[task]['balanced']:.3f} ({line[task]['balanced_interval'][0]:.3f} to "
        f"{line[task]['balanced_interval'][1]:.3f}), chance {line[task]['chance']:.3f}."
        for line in lines
        if line["view"] in _WITHOUT_FACE
        for task in measured_tasks(lines)
        if line[task]["balanced_interval"][0] > line[task]["chance"]
    ]


def text_lines(lines: Sequence[Mapping[str, Any]]) -> list[str]:
    """Format the table as text: accuracy and balanced accuracy of each task."""
    tasks = measured_tasks(lines)
    titles = "".join(f"{'18 classes' if task == 'class' else task:>15}" for task in tasks)
    out = [f"  {'acc. / balanced':18} {'photos':>6}{titles}"]
    for line in lines:
        cells = "".join(f"{line[task]['accuracy']:8.3f} /{line[task]['balanced']:.3f}" for task in tasks)
        out.append(f"  {line['view']:18} {line['photos']:6}{cells}")
    cells = "".join(f"{lines[0][task]['constant']:8.3f} /{lines[0][task]['chance']:.3f}" for task in tasks)
    return [*out, f"  {'most frequent label':25}{cells}"]


def _with_regions(table: pa.Table, manifest: Manifest, finder: RegionFinder) -> tuple[pa.Table, np.ndarray, np.ndarray]:
    """Return the rows with a known face, and their face boxes and backgrounds float32 (N, H, W), 0 where unknown."""
    wanted = pc.is_in(manifest.table.column("sample_id"), table.column("sample_id"))
    rows = {row["sample_id"]: row for row in manifest.table.filter(wanted).to_pylist()}
    found = [finder.find(rows[sample]) for sample in table.column("sample_id").to_pylist()]
    kept = [index for index, regions in enumerate(found) if regions is not None]
    if not kept:
        ref = manifest.version.ref
        raise StageError(
            f"no face is known in {ref}: it has no landmarks and no boxes. Run: facecurate preprocess run {ref}"
        )
    shares = [regions for regions in found if regions is not None]
    faces = np.stack([face_box(regions.shares[..., 0] / 255) for regions in shares])
    behind = [regions.shares[..., 3] * regions.background_known for regions in shares]
    return table.take(pa.array(kept)), faces, np.stack(behind).astype(np.float32) / 255
