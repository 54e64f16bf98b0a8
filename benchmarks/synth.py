"""Masks on 100 portraits of 384×512, nine outputs each, compared with the common method: warp a picture and paste it.

    python -m benchmarks.synth [--faces DIR] [--json]

- `outputs_per_s_known_landmarks`: read, light, mask and write as JPEG, landmarks given.
- `outputs_per_s_from_photos`: `facecurate synth images`, from plain photos to the CSV.
- `ms_per_composite`: `compose` alone in one thread with a ninth of `measure_scene`, templates drawn before. Other
  processes affect it; `cpu_ms_per_composite` is the processor time of the same rounds.

The first two are whole processes with two workers, including the start of Python, imports, models and drawing of
templates. `peak_mb` is the peak memory of one process, `peak_mb_twice` the same with every photo given twice. The naive
method in the same run has the same landmarks, processes, encoder and number of outputs; one fixed picture is warped by
the homography of six key points and pasted by its alpha: no straps, shading, placements or coverage check.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from benchmarks.crop import portraits
from data_manifests.errors import StageError
from pipeline.executor import map_records
from pipeline.faces.locate import make_locator, require_landmarks
from pipeline.photos.images import load_rgb, save_rgb
from synth.masks import TYPES, compose, measure_scene
from synth.masks.drawing.template import HEADROOM, draw_template

JOBS, ROUNDS = 2, 4
PLACEMENTS = ("worn", "nose_out", "chin")
NINE = [(mask, placement) for mask in ("surgical_blue", "kf94_white", "cloth_patterned") for placement in PLACEMENTS]
ROOT = Path(__file__).resolve().parent.parent
Known = tuple[str, np.ndarray]  # a photo and its landmarks


def known_landmarks(paths: list[Path]) -> list[Known]:
    """Return the photos whose face can carry a mask, with landmarks."""
    locate, found = make_locator(), []
    for path in paths:
        picture = load_rgb(path)
        try:
            landmarks = require_landmarks(locate(picture)).landmarks_xy
            measure_scene(picture, landmarks)
        except StageError:
            continue
        found.append((str(path), landmarks))
    return found


def make_ours(out: Path) -> Callable[[tuple[int, Known]], int]:
    """Return the worker that puts nine masks on one photo and returns their number."""

    def work(item: tuple[int, Known]) -> int:
        number, (path, landmarks) = item
        picture, made = load_rgb(Path(path)), 0
        scene = measure_scene(picture, landmarks)
        for i, (mask, placement) in enumerate(NINE):
            try:
                done = compose(
                    picture, landmarks, mask_type=mask, placement=placement, seed=9 * number + i, scene=scene
                )
            except StageError:
                continue
            save_rgb(done.image, out, f"{number:03d}-{i}.jpg")
            made += 1
        return made

    return work


def make_naive(out: Path) -> Callable[[tuple[int, Known]], int]:
    """Return the worker of the naive method."""
    template = draw_template("surgical_blue", 0, 288)
    keys = np.asarray(template.key_xy, np.float32)
    alpha = template.rgba[..., 3:].astype(np.float32) / 255
    colour = np.clip(template.rgba[..., :3] / np.maximum(alpha, 1e-3) / HEADROOM, 0, 255).astype(np.uint8)
    rgba = np.dstack([colour, template.rgba[..., 3]])

    def work(item: tuple[int, Known]) -> int:
        number, (path, landmarks) = item
        picture = load_rgb(Path(path))
        for i in range(len(NINE)):
            matrix, _ = cv2.findHomography(keys, np.asarray(landmarks[[1, 28, 15, 5, 8, 11]], np.float32))
            warped = cv2.warpPerspective(rgba, matrix, (picture.shape[1], picture.shape[0]))
            share = warped[..., 3:].astype(np.float32) / 255
            done = picture * (1 - share) + warped[..., :3] * share
            save_rgb(done.astype(np.uint8), out, f"{number:03d}-{i}.jpg")
        return len(NINE)

    return work


def known_pass(method: str, known_file: str, out: str) -> None:
    """Process all photos in this process and print the number of outputs."""
    data = np.load(known_file)
    known = list(zip(data["paths"].tolist(), data["landmarks"], strict=True))
    make = partial({"ours": make_ours, "naive": make_naive}[method], Path(out))
    print(sum(made for _, made in map_records(make, enumerate(known), jobs=JOBS)))


def timed(arguments: list[str]) -> tuple[float, str, float]:
    """Run Python with arguments; return seconds, its last line, and peak memory in MB of the largest process so far."""
    began = time.perf_counter()
    done = subprocess.run([sys.executable, *arguments], cwd=ROOT, check=True, capture_output=True, text=True)
    taken = time.perf_counter() - began
    return taken, done.stdout.strip().splitlines()[-1], resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


def per_composite(known: list[Known]) -> tuple[float, float]:
    """Return milliseconds per composite in one thread, by clock and by processor time: the best of a few rounds."""
    cv2.setNumThreads(1)
    photos = [(load_rgb(Path(path)), landmarks) for path, landmarks in known[::4]]

    def once() -> int:
        made = 0
        for number, (picture, landmarks) in enumerate(photos):
            scene = measure_scene(picture, landmarks)
            for i in range(9):
                mask = TYPES[(number + i) % len(TYPES)]
                with suppress(StageError):  # a face turned too far counts in the time, not in the outputs
                    compose(picture, landmarks, mask_type=mask, seed=number + i, scene=scene)
                    made += 1
        return made

    once()  # draws the templates
    clock, cpu = [], []
    for _ in range(ROUNDS):
        began, began_cpu = time.perf_counter(), time.process_time()
        made = once()
        clock.append((time.perf_counter() - began) / made * 1000)
        cpu.append((time.process_time() - began_cpu) / made * 1000)
    return min(clock), min(cpu)


def measure(source: Path | None) -> dict[str, float | str]:
    """Measure all figures."""
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        photos, twice = folder / "photos", folder / "twice"
        for place in (photos, twice / "a", twice / "b"):
            place.mkdir(parents=True)
        paths = portraits(source, photos)
        known = known_landmarks(paths)
        ms, cpu_ms = per_composite(known)
        file = str(folder / "known.npz")
        np.savez(file, paths=[path for path, _ in known], landmarks=np.stack([points for _, points in known]))

        def known_rate(method: str) -> float:
            code = (
                f"from benchmarks.synth import known_pass; known_pass({method!r}, {file!r}, {str(folder / method)!r})"
            )
            seconds, made, _ = timed(["-c", code])
            return int(made) / seconds

        naive = [known_rate("naive")]
        ours = known_rate("ours")
        naive.append(known_rate("naive"))
        masks = [
            "--mask",
            "surgical_blue,kf94_white,cloth_patterned",
            "--placement",
            ",".join(PLACEMENTS),
            "--jobs",
            str(JOBS),
        ]
        seconds, _, peak = timed(["-m", "synth", "images", str(photos), str(folder / "nine"), *masks])
        for path in paths:
            for half in ("a", "b"):
                (twice / half / path.name).hardlink_to(path)
        _, _, peak_twice = timed(["-m", "synth", "images", str(twice), str(folder / "eighteen"), *masks])
        made = len(list((folder / "nine").glob("*.jpg")))
    return {
        "pictures": "real" if source else "rendered",
        "photos": len(paths),
        "carry_a_mask": len(known),
        "outputs_per_s_known_landmarks": round(ours, 1),
        "outputs_per_s_naive_paste": round(sum(naive) / 2, 1),
        "outputs_per_s_from_photos": round(made / seconds, 1),
        "outputs_from_photos": made,
        "ms_per_composite": round(ms, 2),
        "cpu_ms_per_composite": round(cpu_ms, 2),
        "peak_mb": round(peak),
        "peak_mb_twice": round(peak_twice),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--faces", type=Path, help="read a folder with at least 100 portraits; rendered people without it"
    )
    parser.add_argument("--json", action="store_true", help="print the figures as one JSON object on the last line")
    options = parser.parse_args()
    figures = measure(options.faces)
    for name, value in figures.items():
        print(f"{name:32} {value}")
    if options.json:
        print(json.dumps(figures))


if __name__ == "__main__":
    main()
