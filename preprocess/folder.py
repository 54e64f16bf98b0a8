"""Steps over a plain folder of images: no manifest, the same folder tree, a CSV with a row per file."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pyarrow as pa

from data_manifests.errors import PhotoError, is_disk_full
from data_manifests.versions import Store, write_atomic
from pipeline.faces import measure_table
from pipeline.photos import (
    PhotoFile,
    checked_folders,
    list_pictures,
    output_names,
    photo_sha256,
    read_photo,
    write_report,
)
from pipeline.stage import IDENTITY, run_records
from pipeline.step import SEVERITY, Result, failed
from preprocess.choices import Report, resolve_crop
from preprocess.run import folder_steps
from preprocess.settings import PreprocessSettings

REPORT, STAGE = "preprocess.csv", "images"
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
    """The number of files per status and reason, of results reused from an earlier run, and of other entries."""

    ledger: Counter[str]
    reasons: Counter[str]
    reused: int
    left_out: int = 0

    def lines(self, out: Path) -> list[str]:
        """Return text for a terminal: the most frequent reasons, then the number of files per status."""
        counts = " + ".join(f"{status} {self.ledger[status]}" for status in SEVERITY)
        total = f"images: {counts} = {self.ledger.total()} files in; {self.reused} reused; wrote {out / REPORT}"
        others = [f"  {self.left_out} other entries left out; {REPORT} has the reasons"] if self.left_out else []
        return [*(f"  {count} × {reason}" for reason, count in self.reasons.most_common(8)), *others, total]


def run_folder(settings: PreprocessSettings, src: Path, out: Path, store: Store, report: Report = print) -> FolderRun:
    """Run the steps over every image below `src`; write the results below `out`, and `out/preprocess.csv`.

    Results are kept in the store's workspace, so a second run does only what is new. `out` must not lie in `src`.
    """
    src, out = checked_folders(src, out)
    listed = list_pictures(src)
    files = listed.pictures
    table, unreadable = _as_table(files, src, store)
    crop = settings.crop
    if "crop" in settings.steps:
        detect = settings.detect
        crop = resolve_crop(crop, partial(measure_table, table, store, detect.backend, detect.params), report)
    steps = folder_steps(settings, crop, report)
    done, reused = run_records(STAGE, steps, table, store, jobs=settings.jobs, executor=settings.executor)
    found = dict(zip(table["path"].to_pylist(), done, strict=True))
    results, rows = [], []
    for file, name in zip(files, output_names(files), strict=True):
        result = found[file] if file in found else failed(STAGE, unreadable[file])
        written = ""
        try:
            written = _copy_out(file, name, result, src, out, store)
        except (PhotoError, OSError) as error:
            if is_disk_full(error):
                raise
            result = failed(STAGE, f"{name} cannot be written: {_text_of(error)}")
        results.append(result)
        rows.append(_report_row(file, written, result))
    rows += [{"file": file, "status": "left_out", "reason": reason} for file, reason in listed.left_out.items()]
    write_report(out / REPORT, COLUMNS, rows)
    reasons = Counter(result["reason"] for result in results if result["reason"])
    return FolderRun(Counter(result["status"] for result in results), reasons, reused, len(listed.left_out))


def _text_of(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _as_table(listed: Sequence[str], src: Path, store: Store) -> tuple[pa.Table, dict[str, str]]:
    """Return a row per file that can be read, and the reasons of the others."""
    root = f"folder-{hashlib.sha256(str(src).encode()).hexdigest()[:8]}"
    store.set_root(root, src)
    hashes: dict[str, str] = {}
    unreadable: dict[str, str] = {}
    for file in listed:
        try:
            hashes[file] = photo_sha256(PhotoFile(src, file))
        except PhotoError as error:
            unreadable[file] = str(error)
    files = list(hashes)
    values: dict[str, list[str | None]] = {
        "sample_id": list(files),
        "root": [root] * len(files),
        "path": list(files),
        "sha256": list(hashes.values()),
    }
    rest = {name: pa.nulls(len(files), pa.string()) for name in IDENTITY if name not in values}
    geometry = {"box_xyxy": 4, "points_xy": 10, "landmarks_xy": 136}
    empty = {name: pa.nulls(len(files), pa.list_(pa.float32(), size)) for name, size in geometry.items()}
    return pa.table({**values, **rest, **empty, "faces": pa.nulls(len(files), pa.int32())}), unreadable


def _copy_out(file: str, name: str, result: Result, src: Path, out: Path, store: Store) -> str:
    """Write a result's image under the file's name. An image that no step changed is copied, suffix included."""
    if result["status"] == "failed":
        return ""
    picture = result["picture"]
    source, name = (PhotoFile(store.workspace, picture["path"]), name) if picture else (PhotoFile(src, file), file)
    data = read_photo(source)
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
