"""Duration of table operations, compared with pandas on CSV files: python -m benchmarks.manifests [--rows N] [--json]

A generated manifest of people with seven shots each (ids, paths, hashes, labels, boxes; no images) is written, read,
split, corrected, and compared with the split and corrected copy. Each figure is the best of three runs. The baseline,
run once, is the code that a user would write with pandas, without versions, validation, lineage, conflicts or stable
splits; its loop of corrections runs over 20 and is scaled up. `peak_mb` is the peak memory of the process before the
baseline starts, including the generated table. `…_cpu_s` is processor time, which is more reliable than wall-clock time
on a busy machine.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from data_manifests.corrections.apply import apply_corrections
from data_manifests.corrections.lines import to_line
from data_manifests.corrections.log import read_corrections
from data_manifests.corrections.record import COLUMNS
from data_manifests.inspect.diff import diff
from data_manifests.schema import conform
from data_manifests.splits.assign import assign_splits
from data_manifests.taxonomy import GENDERS, SHOT_MASK, SHOTS, AgeCuts, age_class_of, class_id_of
from data_manifests.versions.store import Store

LIMITS = {"write_s": 3, "read_s": 1, "diff_s": 4, "apply_s": 2, "split_s": 3, "peak_mb": 2048}
CORRECTIONS = 10_000
_LOOPED = 20  # corrections in the loop of the baseline
_CUTS = AgeCuts()
Result = TypeVar("Result")


def draw_manifest(rows: int, rng: np.random.Generator) -> pa.Table:
    """Return a manifest of `rows` photos, seven per person."""
    number = np.arange(rows)
    person_of, people = number // len(SHOTS), rows // len(SHOTS) + 1
    names = pc.binary_join_element_wise("p", pc.utf8_lpad(pa.array(np.arange(people)).cast(pa.string()), 7, "0"), "")
    person = names.take(pa.array(person_of))
    shot = pa.array(SHOTS).take(pa.array(number % len(SHOTS)))
    mask = pa.array([SHOT_MASK[name] for name in SHOTS]).take(pa.array(number % len(SHOTS)))
    gender = pa.array(GENDERS).take(pa.array(rng.integers(0, 2, people)[person_of]))
    age = pa.array(rng.integers(18, 70, people)[person_of].astype(np.int32))
    age_class = age_class_of(age, _CUTS)
    ids = _hex(rows, 16, rng)
    columns = {
        "sample_id": ids, "source_id": ids, "root": _same("faces", rows), "sha256": _hex(rows, 64, rng),
        "path": pc.binary_join_element_wise("images", person, pc.binary_join_element_wise(shot, ".jpg", ""), "/"),
        "width_px": pa.array(np.full(rows, 384, np.int32)), "height_px": pa.array(np.full(rows, 512, np.int32)),
        "person_id": person, "profile_id": person, "shot": shot, "mask": mask, "gender": gender, "age": age,
        "age_class": age_class, "class_id": class_id_of(mask, gender, age_class),
        "label_source": _same("ingest", rows), "status": _same("ok", rows),
        "box_xyxy": pa.FixedSizeListArray.from_arrays(pa.array(rng.random(rows * 4, np.float32)), 4),
        "detection_score": pa.array(rng.random(rows, np.float32)), "is_synthetic": pa.array(np.zeros(rows, bool)),
    }  # fmt: skip
    return conform(pa.table(columns))


def _hex(rows: int, digits: int, rng: np.random.Generator) -> pa.Array:
    letters = np.frombuffer(b"0123456789abcdef", np.uint8)[rng.integers(0, 16, rows * digits, dtype=np.uint8)]
    offsets = np.arange(rows + 1, dtype=np.int32) * digits
    return pa.StringArray.from_buffers(rows, pa.py_buffer(offsets), pa.py_buffer(letters))


def _same(text: str, rows: int) -> pa.Array:
    return pa.array([text]).take(pa.array(np.zeros(rows, np.int32)))


def draw_log(table: pa.Table, path: Path, rng: np.random.Generator) -> list[dict[str, str]]:
    """Write a log of corrections of random photos: gender by person, age and mask by photo, exclusions."""
    chosen = pa.array(rng.choice(table.num_rows, min(CORRECTIONS, table.num_rows), replace=False))
    rows = table.select(["sample_id", "person_id", "sha256", "gender", "age", "mask"]).take(chosen).to_pylist()
    records = []
    for number, row in enumerate(rows):
        field, old, new, scope = (
            ("gender", row["gender"], GENDERS[row["gender"] == "male"], "person"),
            ("age", str(row["age"]), "class:2", "sample"),
            ("mask", row["mask"], "incorrect", "sample"),
            ("exclude", "false", "true", "sample"),
        )[number % 4]
        made = {"correction_id": f"c{number}", "manifest": "faces@1#00000000", "field": field, "old": old, "new": new}
        made |= {"scope": scope, "annotator": "ann", "time": f"2026-11-20T12:00:00.{number:06d}Z", "note": ""}
        records.append(made | {key: row[key] for key in ("sample_id", "person_id")} | {"image_sha256": row["sha256"]})
    path.write_text("".join([to_line(COLUMNS), *(to_line([row.get(name, "") for name in COLUMNS]) for row in records)]))
    return records


def timed(work: Callable[[], Result], repeat: int = 3) -> tuple[float, float, Result]:
    """Return the shortest wall-clock and processor time (seconds, all threads) of `work`, and its result."""
    clock, processor = float("inf"), float("inf")
    for _ in range(repeat):
        started, used = time.perf_counter(), time.process_time()
        result = work()
        clock, processor = min(clock, time.perf_counter() - started), min(processor, time.process_time() - used)
    return clock, processor, result


def measure_ours(table: pa.Table, folder: Path, log: Path) -> dict[str, float]:
    """Return the toolkit's figures. Every write uses a new name, because an existing version is not written again."""
    store, figures = Store(folder), {}
    names = iter(f"faces{i}" for i in range(3))
    figures["write_s"], figures["write_cpu_s"], version = timed(lambda: store.write(next(names), table, "ingest"))
    figures["read_s"], figures["read_cpu_s"], manifest = timed(lambda: store.read(version.ref))
    assert manifest.table.num_rows == table.num_rows
    figures["split_s"], figures["split_cpu_s"], split = timed(lambda: assign_splits(manifest.table))
    figures["apply_s"], figures["apply_cpu_s"], (applied, report) = timed(
        lambda: apply_corrections(split, read_corrections([log]), _CUTS, seed=0)
    )
    assert report.counts["conflict"] == report.counts["unplaced"] == 0
    figures["diff_s"], figures["diff_cpu_s"], changes = timed(lambda: diff(table, applied))
    assert len(changes.changed["split"][0]) == table.num_rows
    assert len(changes.changed["status"][0]) > 0
    figures["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return figures


def measure_pandas(table: pa.Table, folder: Path, records: list[dict[str, str]]) -> dict[str, float]:
    """Return the figures of the baseline under the same names."""
    from sklearn.model_selection import train_test_split

    figures = {}
    kept = [name for name in table.column_names if table[name].null_count < table.num_rows and name != "box_xyxy"]
    frame = table.select(kept).to_pandas()
    box = table["box_xyxy"].combine_chunks().flatten().to_numpy().reshape(-1, 4)  # CSV has no lists
    frame[["left", "top", "right", "bottom"]] = box
    path = folder / "faces.csv"
    figures["write_s"], *_ = timed(lambda: frame.to_csv(path, index=False), 1)
    figures["read_s"], _, frame = timed(lambda: pd.read_csv(path, dtype={"sample_id": str, "source_id": str}), 1)

    def split() -> pd.DataFrame:
        people = frame.groupby("person_id").first()
        train, _ = train_test_split(people, test_size=0.2, stratify=people[["gender", "age_class"]], random_state=0)
        return frame.assign(split=np.where(frame["person_id"].isin(train.index), "train", "val"))

    figures["split_s"], _, after = timed(split, 1)

    def correct() -> None:
        for row in records[:_LOOPED]:
            key = "person_id" if row["scope"] == "person" else "sample_id"
            name, value = ("status", "excluded") if row["field"] == "exclude" else (row["field"], row["new"])
            after.loc[after[key] == row[key], name] = 65 if value == "class:2" else value

    seconds, *_ = timed(correct, 1)
    figures["apply_s"] = seconds / _LOOPED * len(records)

    def compare() -> dict[str, int]:
        both = frame.assign(split="").merge(after, on="sample_id", how="outer", suffixes=("_a", "_b"), indicator=True)
        names = ("mask", "gender", "age", "age_class", "person_id", "split", "status", "sha256")
        return {name: int((both[f"{name}_a"] != both[f"{name}_b"]).sum()) for name in names}

    figures["diff_s"], *_ = timed(compare, 1)
    return figures


def main() -> None:
    """Measure and print all figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--json", action="store_true", help="print all figures as one JSON object on the last line")
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        table = draw_manifest(arguments.rows, rng)
        records = draw_log(table, folder / "log.csv", rng)
        ours = measure_ours(table, folder, folder / "log.csv")
        theirs = measure_pandas(table, folder, records)
    figures: dict[str, Any] = {"rows": arguments.rows, "corrections": len(records)}
    print(f"{arguments.rows:,} rows, {len(records):,} corrections")
    print(f"{'':8} {'toolkit':>10} {'cpu':>8} {'limit':>8} {'pandas CSV':>12} {'ratio':>8}")
    for figure, limit in LIMITS.items():
        figures[figure] = round(ours[figure], 3)
        line = f"{figure:8} {ours[figure]:10.2f}"
        if figure in theirs:
            task, ratio = figure.removesuffix("_s"), theirs[figure] / ours[figure]
            figures[f"{task}_cpu_s"] = round(ours[f"{task}_cpu_s"], 3)
            figures[f"{task}_pandas_s"], figures[f"{task}_ratio"] = round(theirs[figure], 3), round(ratio, 1)
            line += f" {ours[f'{task}_cpu_s']:8.2f} {limit:8} {theirs[figure]:12.2f} {ratio:7.1f}x"
        else:
            line += f" {'':8} {limit:8}"
        print(line)
    if arguments.json:
        print(json.dumps(figures))


if __name__ == "__main__":
    main()
