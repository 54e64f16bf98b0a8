"""Detect, landmarks, crop and save 100 portraits of 384×512, against the loop that one would write oneself.

    python -m benchmarks.crop [--faces DIR] [--busy] [--json]

The opponent is facenet-pytorch's `MTCNN(margin=40)`, one picture after the other, each crop saved as PNG by the library
itself; it gives no landmarks. It may use every core. Ours is the pipeline's own worker in a pool of two processes with
one thread each, which also places 68 landmarks, hashes the photo and writes JPEG.

Both are timed in the steady state: imports, loading of models and the first pictures are left out on both sides, and
given apart as `…_start_s`. The opponent runs before and after ours, and the mean counts, so that a machine that gets
busier or less busy favours neither. `--busy` lets another process use one core throughout.
Agreement is measured on raw boxes: those of our detector against those that the opponent crops by.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from data_manifests.versions.content_hash import file_sha256
from pipeline.backends import load_backend
from pipeline.executor import CHUNK, map_records
from pipeline.step import make_worker
from preprocess.run import face_steps
from preprocess.settings import CropSettings, PreprocessSettings

COUNT, SIZE_WH, JOBS = 100, (384, 512), 2
WARM_UP = 3 * JOBS * CHUNK  # what the pool keeps in flight
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OMP_WAIT_POLICY")


def portraits(source: Path | None, folder: Path) -> list[Path]:
    """COUNT JPEG files of SIZE_WH in `folder`: the middle of real portraits, or rendered people without a source."""
    paths = []
    for number, image in enumerate(_photos(source) if source else _rendered()):
        scale = max(SIZE_WH[0] / image.width, SIZE_WH[1] / image.height)
        image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.LANCZOS)
        left, top = (image.width - SIZE_WH[0]) // 2, (image.height - SIZE_WH[1]) // 2
        paths.append(folder / f"{number:03d}.jpg")
        image.crop((left, top, left + SIZE_WH[0], top + SIZE_WH[1])).save(paths[-1], quality=92)
    return paths


def _photos(source: Path) -> Iterator[Image.Image]:
    files = sorted(path for path in source.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    if len(files) < COUNT:
        raise SystemExit(f"{source} must hold at least {COUNT} pictures. Got {len(files)} instead.")
    for index in np.linspace(0, len(files) - 1, COUNT).astype(int):
        yield Image.open(files[index]).convert("RGB")


def _rendered() -> Iterator[Image.Image]:
    from synth.demo_faces.parameters.sampling import make_people, sample_snapshot
    from synth.demo_faces.rendering.portrait import build_model, render_snapshot

    rng = np.random.default_rng(0)
    for person in make_people(COUNT, rng):
        yield Image.fromarray(render_snapshot(build_model(person), sample_snapshot(rng)).image)


# the opponent, in a process of its own with the threads that torch uses by default -----------------
def naive_pass(paths: list[Path], out: Path) -> tuple[float, float]:
    """Seconds to start (import, load, five pictures) and seconds for all pictures."""
    began = time.perf_counter()
    from facenet_pytorch import MTCNN

    mtcnn = MTCNN(margin=40)
    for path in paths[:5]:
        mtcnn(Image.open(path), save_path=str(out / "warm.png"))
    started = time.perf_counter()
    for path in paths:
        mtcnn(Image.open(path), save_path=str(out / f"{path.stem}.png"))
    return started - began, time.perf_counter() - started


def naive_boxes(paths: list[Path]) -> list[list[float] | None]:
    """The box (before its margin) that each of the opponent's crops is made from."""
    from facenet_pytorch import MTCNN

    mtcnn = MTCNN(margin=40)
    found = [mtcnn.detect(Image.open(path))[0] for path in paths]
    return [None if boxes is None else [float(value) for value in boxes[0]] for boxes in found]


@contextlib.contextmanager
def _own_process() -> Iterator[ProcessPoolExecutor]:
    held = {name: os.environ.pop(name) for name in THREADS if name in os.environ}
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield pool
    os.environ.update(held)


# ours ----------------------------------------------------------------------------------------------------------------
def our_pass(paths: list[Path], workspace: Path) -> tuple[float, float]:
    """Seconds to start (processes, imports, models, the first pictures) and seconds for all pictures."""
    steps = face_steps(PreprocessSettings(), CropSettings())
    make = partial(make_worker, "bench", tuple(steps), workspace, {"photos": paths[0].parent})
    warm = paths[:WARM_UP]
    records = [
        (f"{number:04d}", {"sample_id": path.stem, "root": "photos", "path": path.name, "sha256": file_sha256(path)})
        for number, path in enumerate([*warm, *paths, *warm])  # the last ones keep both workers busy to the end
    ]
    began = time.perf_counter()
    arrivals = []
    for _, result in map_records(make, records, jobs=JOBS):
        if result["status"] == "failed":
            raise SystemExit(f"our crop failed: {result['reason']}")
        arrivals.append(time.perf_counter())
    return arrivals[len(warm)] - began, arrivals[len(warm) + len(paths)] - arrivals[len(warm)]


def agreement(paths: list[Path], theirs: list[list[float] | None]) -> dict[str, float]:
    """Faces that only the opponent found, and the overlap of the boxes."""
    detect = load_backend("detector", "mtcnn").make()
    lost, overlaps = 0, []
    for path, box in zip(paths, theirs, strict=True):
        if box is None:
            continue
        faces = detect(np.asarray(Image.open(path)))
        lost += len(faces) == 0
        overlaps.append(max((_iou(ours, np.array(box)) for ours in faces.boxes_xyxy), default=0.0))
    return {
        "faces_lost": lost,
        "iou_min": round(min(overlaps), 4),
        "iou_p05": round(float(np.percentile(overlaps, 5)), 4),
        "iou_median": round(float(np.median(overlaps)), 4),
    }


def _iou(a: np.ndarray, b: np.ndarray) -> float:
    sides = np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None)
    areas = (a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod()
    return float(sides.prod() / (areas - sides.prod()))


def _burn() -> None:
    while True:
        sum(range(10_000))


@contextlib.contextmanager
def _busy_core(wanted: bool) -> Iterator[None]:
    burner = multiprocessing.get_context("spawn").Process(target=_burn, daemon=True)
    if wanted:
        burner.start()
    try:
        yield
    finally:
        if wanted:
            burner.terminate()


def measure(source: Path | None, busy: bool) -> dict[str, float | str]:
    """All figures."""
    with tempfile.TemporaryDirectory() as folder, _busy_core(busy):
        (Path(folder) / "photos").mkdir()
        paths = portraits(source, Path(folder) / "photos")
        with _own_process() as pool:
            naive = [pool.submit(naive_pass, paths, Path(folder) / "naive").result()]
            start_s, ours_s = our_pass(paths, Path(folder) / "ours")
            naive.append(pool.submit(naive_pass, paths, Path(folder) / "naive").result())
            boxes = pool.submit(naive_boxes, paths).result()
        found = agreement(paths, boxes)
    naive_s = (naive[0][1] + naive[1][1]) / 2
    return {
        "pictures": "real" if source else "rendered",
        "count": COUNT,
        "speedup_vs_naive": round(naive_s / ours_s, 2),
        "ours_ms": round(ours_s / COUNT * 1000, 2),
        "naive_ms": round(naive_s / COUNT * 1000, 2),
        "ours_start_s": round(start_s, 2),
        "naive_start_s": round(naive[0][0], 2),
        **found,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=Path, help="a folder with at least 100 portraits; rendered people without it")
    parser.add_argument("--busy", action="store_true", help="let another process use one core meanwhile")
    parser.add_argument("--json", action="store_true", help="the figures as one object on the last line")
    options = parser.parse_args()
    figures = measure(options.faces, options.busy)
    for name, value in figures.items():
        print(f"{name:18} {value}")
    if options.json:
        print(json.dumps(figures))


if __name__ == "__main__":
    main()
