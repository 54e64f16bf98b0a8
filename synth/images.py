"""Masks on a plain folder of photos: OUT keeps the folder tree, and a CSV has the result or the error of each output.

    facecurate synth images photos masked --mask surgical_blue,kf94,cloth --placement worn,nose_out --seed 7

A photo is read and its face located once for all of its outputs. Results are written as they are made and recorded in
`OUT/.results.sqlite`, so an interrupted run continues where it stopped.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from data_manifests.errors import BackendError, StageError, is_disk_full
from pipeline.executor import WorkerDied, map_records
from pipeline.faces import LocatedFace, make_locator, require_landmarks
from pipeline.photos import PhotoFile, checked_folders, list_pictures, load_rgb, save_rgb, write_report
from pipeline.progress import announce, show_progress
from pipeline.results import ResultCache, open_results
from synth.mask_choices import UNMASKED, MaskRequest, MaskRequests
from synth.masks import MIN_INSIDE_SHARE, Composite, Scene, UserTemplate, compose, load_templates, measure_scene

REPORT, RESULTS = "synth.csv", ".results.sqlite"
PARTS = ("nose", "mouth", "chin")
COLUMNS = ("file", "output", "mask", "wear", "seed", "status", "reason", "faces", "width_px", "height_px",
           *(f"{part}_covered_score" for part in PARTS), "recipe")  # fmt: skip
"""Columns of REPORT; `wear` is the placement, `recipe` the mask parameters as JSON."""
KeyedResult = tuple[str, dict[str, Any]]
DIED = "the worker process died on this image"
_MAX_REASON = 300  # characters; an error of a library can fill a page


@dataclass(frozen=True)
class PhotoJob:
    """A photo and the requests that have no result yet."""

    file: str
    requests: tuple[MaskRequest, ...]


@dataclass(frozen=True)
class ImagesResult:
    """Counts of a run: `ok + failed = files × outputs`; `others` counts the other entries, by suffix."""

    ledger: Counter[str]
    reused: int
    files: int
    reasons: Counter[str]
    others: Counter[str] = field(default_factory=Counter)

    def lines(self, out: Path) -> list[str]:
        """Return text for a terminal: the most frequent reasons, the skipped files, then the ledger."""
        ok, failed = self.ledger["ok"], self.ledger["failed"]
        lines = [f"  {count} × {reason}" for reason, count in self.reasons.most_common(8)]
        if self.others:
            suffixes = ", ".join(f"{suffix or 'no suffix'} {count}" for suffix, count in self.others.most_common(6))
            lines.append(f"  {self.others.total()} other entries left out: {suffixes}")
        total = f"{ok + failed} ({self.files} files × {(ok + failed) // max(self.files, 1)} outputs)"
        return [*lines, f"images: ok {ok} + failed {failed} = {total}; {self.reused} reused; wrote {out / REPORT}"]


def run_images(
    src: Path,
    out: Path,
    masks: Sequence[str],
    placements: Sequence[str],
    *,
    seed: int = 0,
    templates: Path | None = None,
    jobs: int | None = None,
    executor: str = "pool",
) -> ImagesResult:
    """Put every mask in every placement on the main face of every image below `src`; write images and REPORT to `out`.

    `masks` and `placements` are names of `synth.mask_choices`; the mask "none" gives the photo itself, once. A photo
    that cannot be used gives failed rows with the reason and never stops the others. Raises StageError for an invalid
    pair of folders, ConfigError for an invalid template folder.
    """
    src, out = checked_folders(src, out)
    own = load_templates(templates) if templates else {}
    listed = list_pictures(src)
    files = listed.pictures
    requests = MaskRequests(src, files, list(masks), list(placements), seed, own)
    out.mkdir(parents=True, exist_ok=True)
    with open_results(out / RESULTS) as cache:
        made, died = _make_missing(cache, requests, src, out, templates, jobs or os.cpu_count() or 1, executor)
        ledger, reasons = Counter[str](), Counter[str]()

        def rows() -> Iterator[Mapping[str, object]]:
            for file in files:
                reason = requests.unreadable.get(file) or (DIED if file in died else "")
                for row in _rows(cache, file, requests.for_file(file), reason):
                    ledger[str(row["status"])] += 1
                    if row["status"] == "failed":
                        reasons[re.sub(r"\d[\d.]*", "…", str(row["reason"]))] += 1
                    yield row
            for file, reason in listed.left_out.items():
                yield {"file": file, "status": "left_out", "reason": reason}

        write_report(out / REPORT, COLUMNS, rows())
    suffixes = Counter(Path(file).suffix.lower() for file in listed.left_out)
    return ImagesResult(ledger, ledger.total() - made, len(files), reasons, suffixes)


def _make_missing(
    cache: ResultCache, requests: MaskRequests, src: Path, out: Path, templates: Path | None, jobs: int, executor: str
) -> tuple[int, set[str]]:
    """Make the missing outputs. Return their number, and the photos on which a worker process died."""
    files = show_progress(requests.files, "look for earlier results", len(requests.files))
    found = [job for file in files if (job := _missing(cache, out, file, requests.for_file(file)))]
    todo = [job for job in found if job.file not in requests.unreadable]
    left = sum(len(job.requests) for job in todo)
    announce(f"masks: {left:,} images to make from {len(todo):,} photos; now the face detector is loaded")
    made, died = 0, set()
    make = partial(make_masker, src, out, templates)
    done = map_records(make, todo, jobs=jobs, executor=executor) if todo else ()
    for index, results in show_progress(done, "masks", len(todo)):
        if isinstance(results, WorkerDied):
            died.add(todo[index].file)  # not kept: more memory or another library version may succeed
            continue
        for key, result in results:
            cache.put(key, result)
        made += len(results)
    return made, died


def make_masker(src: Path, out: Path, templates: Path | None) -> Callable[[PhotoJob], list[KeyedResult]]:
    """Load models and templates once per worker; the returned function makes a photo's outputs and their results."""
    own = load_templates(templates) if templates else {}
    locate = make_locator()

    def work(job: PhotoJob) -> list[KeyedResult]:
        try:
            picture = load_rgb(PhotoFile(src, job.file))
            located = require_landmarks(locate(picture))
            scene = measure_scene(picture, located.landmarks_xy)
        except BackendError:
            raise  # concerns every photo
        except Exception as error:  # one photo never stops a batch; its rows get the reason
            return [(request.key, _failed(error)) for request in job.requests]
        return [(request.key, _make(request, picture, located, scene, out, own)) for request in job.requests]

    return work


def _make(
    request: MaskRequest,
    picture: np.ndarray,
    located: LocatedFace,
    scene: Scene,
    out: Path,
    own: Mapping[str, UserTemplate],
) -> dict[str, Any]:
    n_faces = {"faces": located.face.n_faces}
    ok = {"status": "ok", "reason": located.face.remark, **n_faces}
    try:
        if request.mask == UNMASKED:
            return ok | asdict(save_rgb(picture, out, request.output))
        placement, done = _compose_fitting(request, picture, located, scene, own)
        saved = save_rgb(done.image, out, request.output)
    except Exception as error:
        if is_disk_full(error):
            raise  # concerns every photo
        return _failed(error) | n_faces
    covered = {f"{part}_covered_score": round(min(done.coverage[f"{part}_score"], 1.0), 4) for part in PARTS}
    parameters = json.dumps(done.parameters | {"landmarks_xy": np.round(located.landmarks_xy, 2).ravel().tolist()})
    return ok | asdict(saved) | covered | {"recipe": parameters, "wear": placement}


def _compose_fitting(
    request: MaskRequest,
    picture: np.ndarray,
    located: LocatedFace,
    scene: Scene,
    own: Mapping[str, UserTemplate],
) -> tuple[str, Composite]:
    """Return the first placement of which the photo shows enough, and its composite. Raises StageError without one."""
    refused: StageError | None = None
    for placement in request.placements:
        try:
            done = compose(
                picture, located.landmarks_xy, mask_type=request.mask, placement=placement, seed=request.seed,
                templates=own, scene=scene,
            )  # fmt: skip
        except StageError as error:
            refused = refused or error
            continue
        if done.inside_share >= MIN_INSIDE_SHARE:
            return placement, done
        refused = refused or StageError(
            f"the photo shows {100 * done.inside_share:.0f} % of a mask placed as {placement}, too little to recognise "
            f"it ({100 * MIN_INSIDE_SHARE:.0f} %). Leave more room around the face or choose another --placement."
        )
    assert refused is not None
    raise refused


def _failed(error: Exception) -> dict[str, Any]:
    text = str(error) if isinstance(error, StageError) else f"{type(error).__name__}: {error}"
    return {"status": "failed", "reason": " ".join(text.split())[:_MAX_REASON]}


def _missing(cache: ResultCache, out: Path, file: str, requests: tuple[MaskRequest, ...]) -> PhotoJob | None:
    """Return the requests of a photo without a kept result or an output file, or None."""
    known = dict(cache.find([request.key for request in requests]))
    left = tuple(request for request in requests if not _exists(known.get(request.key), out))
    return PhotoJob(file, left) if left else None


def _exists(result: Mapping[str, Any] | None, out: Path) -> bool:
    if result is None or result["status"] == "failed":
        return result is not None
    picture = out / result["path"]
    return picture.is_file() and picture.stat().st_size == result["bytes"]


def _rows(
    cache: ResultCache, file: str, requests: tuple[MaskRequest, ...], problem: str
) -> Iterator[dict[str, object]]:
    """Yield the rows of a photo; `problem` is why there may be requests without a kept result."""
    known = dict(cache.find([request.key for request in requests]))
    for request in requests:
        row: dict[str, object] = {
            "file": file, "mask": request.mask, "wear": request.placements[0], "seed": request.seed,
        }  # fmt: skip
        result = known.get(request.key)
        if result is None:
            assert problem
            result = {"status": "failed", "reason": problem}
        output = request.output if result["status"] == "ok" else ""
        yield row | {"output": output} | {name: value for name, value in result.items() if name in COLUMNS}
