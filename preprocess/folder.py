"""Steps over a plain folder of images: no manifest, the same folder tree, a CSV with a row per file."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pyarrow as pa

from data_manifests.versions import Store, file_sha256, write_atomic
from pipeline.faces import measure_table
from pipeline.photos import checked_folders, find_pictures, output_names, write_report
from pipeline.stage import IDENTITY, run_records
from pipeline.step import SEVERITY, Result
from preprocess.choices import Report, resolve_crop
from preprocess.run import folder_steps
from preprocess.settings import PreprocessSettings

REPORT = "preprocess.csv"
COLUMNS = (
    "file",
    "output",
    "status",
    "reason",
    "faces",
    "detection_score",
    "box_xyxy",
    "outside_share",
    "width_px",
    "height_px",
)


@dataclass(frozen=True)
class FolderRun:
    """The number of files per status and reason, and how many results were reused from an earlier run."""

    ledger: Counter[str]
    reasons: Counter[str]
    reused: int

    def lines(self, out: Path) -> list[str]:
        """Return text for a terminal: the most frequent reasons, then the number of files per status."""
        counts = " + ".join(f"{status} {self.ledger[status]}" for status in SEVERITY)
        total = f"images: {counts} = {self.ledger.total()} files in; {self.reused} reused; wrote {out / REPORT}"
        return [*(f"  {count} × {reason}" for reason, count in self.reasons.most_common(8)), total]


def run_folder(settings: PreprocessSettings, src: Path, out: Path, store: Store, report: Report = print) -> FolderRun:
    """Run the steps over every image below `src`; write the results below `out`, and `out/preprocess.csv`.

    Results are kept in the store's workspace, so a second run does only what is new. `out` must not lie in `src`.
    """
    src, out = checked_folders(src, out)
    files = find_pictures(src)
    table = _as_table(files, src, store)
    crop = settings.crop
    if "crop" in settings.steps:
        detect = settings.detect
        crop = resolve_crop(crop, partial(measure_table, table, store, detect.backend, detect.params), report)
    steps = folder_steps(settings, crop, report)
    results, reused = run_records("images", steps, table, store, jobs=settings.jobs, executor=settings.executor)
    rows = []
    for file, name, result in zip(files, output_names(files), results, strict=True):
        written = _copy_out(file, name, result, src, out, store)
        rows.append(_report_row(file, written, result))
    write_report(out / REPORT, COLUMNS, rows)
    reasons = Counter(result["reason"] for result in results if result["reason"])
    return FolderRun(Counter(result["status"] for result in results), reasons, reused)


def _as_table(files: Sequence[str], src: Path, store: Store) -> pa.Table:
    root = f"folder-{hashlib.sha256(str(src).encode()).hexdigest()[:8]}"
    store.set_root(root, src)
    values: dict[str, list[str | None]] = {
        "sample_id": list(files),
        "root": [root] * len(files),
        "path": list(files),
        "sha256": [file_sha256(src / file) for file in files],
    }
    rest = {name: pa.nulls(len(files), pa.string()) for name in IDENTITY if name not in values}
    geometry = {"box_xyxy": 4, "points_xy": 10, "landmarks_xy": 136}
    empty = {name: pa.nulls(len(files), pa.list_(pa.float32(), size)) for name, size in geometry.items()}
    return pa.table({**values, **rest, **empty, "faces": pa.nulls(len(files), pa.int32())})


def _copy_out(file: str, name: str, result: Result, src: Path, out: Path, store: Store) -> str:
    """Write a result's image under the file's name. An image that no step changed is copied, suffix included."""
    if result["status"] == "failed":
        return ""
    picture = result["picture"]
    source, name = (store.workspace / picture["path"], name) if picture else (src / file, file)
    data = source.read_bytes()
    target = out / name
    if not target.is_file() or target.read_bytes() != data:
        write_atomic(target, data)
    return name


def _report_row(file: str, written: str, result: Result) -> dict[str, object]:
    columns, picture = result["columns"], result["picture"] or {}
    box = columns.get("box_xyxy") or []
    return {
        "file": file,
        "output": written,
        "status": result["status"],
        "reason": result["reason"],
        "faces": columns.get("faces", ""),
        "detection_score": columns.get("detection_score", ""),
        "outside_share": columns.get("outside_share", ""),
        "box_xyxy": " ".join(f"{value:.1f}" for value in box),
        "width_px": picture.get("width_px", ""),
        "height_px": picture.get("height_px", ""),
    }
