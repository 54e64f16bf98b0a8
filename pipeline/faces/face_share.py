"""The share of a picture that its face fills, measured over a set, which tells crops of faces from photos.

In portraits of head and shoulders the box of the face fills a quarter of the picture or less (median 0.25 of 615, and
0.13 where the shoulders are whole); in pictures cut to the head it fills 0.47. To cut such a picture again with a
margin gives a crop half of which lies beyond the border.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data_manifests.schema import USABLE
from data_manifests.versions import Manifest, Store
from pipeline.backends import load_backend
from pipeline.faces.locate import detect_face
from pipeline.origin import layout_of
from pipeline.stage import IDENTITY, run_records
from pipeline.step import Outcome, Record, Step, StepFunction

MIN_CROP_SHARE = 0.35
"""Median share from which a set holds crops."""
MIN_UTKFACE_SHARE = 0.2
"""The same for names of UTKFace, whose pictures are crops except in the edition of whole photos."""
SAMPLE = 100  # pictures: 2 s, and the median of any 100 of the 615 portraits is within 0.02 of the median of all


@dataclass(frozen=True)
class FaceShare:
    """The median share of the picture that the face fills, over the pictures with a face; NaN if there are none.

    `pictures` were measured, a sample of the `total` usable ones, and `faces` were found. `are_crops` is the verdict.
    """

    median: float
    faces: int
    pictures: int
    total: int
    are_crops: bool

    def text(self) -> str:
        """Return `the face fills 47 % of the picture (median of 615)`."""
        if not self.faces:
            return f"no face was found in {self.pictures} pictures"
        measured = f"{self.pictures}" if self.pictures == self.total else f"{self.pictures} of {self.total}"
        return f"the face fills {100 * self.median:.0f} % of the picture (median of {measured})"


def measure_face_share(
    manifest: Manifest, store: Store, detector: str = "mtcnn", params: Mapping[str, Any] | None = None
) -> FaceShare:
    """Measure whether a version's pictures are crops of faces.

    Boxes that the manifest has are used; without them the detector runs on a sample that depends on the pictures'
    hashes alone, not on the order of the rows or on workers. Raises BackendError for an unknown detector.
    """
    is_utkface = layout_of(manifest.version, store) == "utkface"
    return measure_table(manifest.table, store, detector, params, is_utkface)


def measure_table(
    table: pa.Table,
    store: Store,
    detector: str = "mtcnn",
    params: Mapping[str, Any] | None = None,
    is_utkface: bool = False,
) -> FaceShare:
    """Measure as `measure_face_share` does, for rows that are in no version: they need the columns of IDENTITY."""
    status = table.column("status")
    rows = table.filter(pc.or_kleene(pc.is_null(status), pc.is_in(status, pa.array(USABLE))))
    if "box_xyxy" in rows.column_names and rows.column("box_xyxy").null_count < rows.num_rows:
        measured = rows.select(["box_xyxy", "faces", "width_px", "height_px"]).to_pylist()
        shares = [
            box_share(np.array(row["box_xyxy"]), (row["width_px"], row["height_px"]))
            for row in measured
            if row["box_xyxy"] and row["faces"] != 0
        ]
        pictures = len(measured)
    else:
        step = face_share_step(detector, params or {})
        hashes = np.array(rows.column("sha256").to_pylist(), str)
        order = np.argsort(hashes, kind="stable")
        sample = np.unique(order[np.linspace(0, len(order) - 1, min(SAMPLE, len(order))).astype(int)])
        todo = rows.select(list(IDENTITY)).take(pa.array(sample))
        results, _ = run_records("face sizes", [step], todo, store, executor="serial")
        found = [result["columns"].get("face_share") for result in results if result["status"] != "failed"]
        shares, pictures = [share for share in found if share is not None], len(found)
    median = float(np.median(shares)) if shares else float("nan")
    few_faces = len(shares) < pictures / 2  # the tightest crops hide faces from a detector
    enough = median >= (MIN_UTKFACE_SHARE if is_utkface else MIN_CROP_SHARE)
    return FaceShare(median, len(shares), pictures, rows.num_rows, bool(enough or (is_utkface and few_faces)))


def face_share_step(detector: str, params: Mapping[str, Any]) -> Step:
    """Return the step that measures one picture; its result has the column `face_share`, None without a face."""
    backend = load_backend("detector", detector)
    return Step(
        "face_share",
        make_face_share,
        f"1+{backend.version}",
        {"detector": detector, "params": dict(params)},
        check=partial(backend.check, **params),
    )


def make_face_share(detector: str, params: Mapping[str, Any]) -> StepFunction:
    """Load the detector."""
    find = load_backend("detector", detector).make(**params)

    def face_share(record: Record, image: np.ndarray) -> Outcome:
        face = detect_face(find, image)
        return Outcome({"face_share": None if face is None else box_share(face.box_xyxy, image.shape[1::-1])})

    return face_share


def box_share(box_xyxy: np.ndarray, image_wh: tuple[int, ...]) -> float:
    """Return the share of an image's area that a box (4,) covers; the part beyond the border does not count."""
    low, high = np.clip(box_xyxy[:2], 0, image_wh), np.clip(box_xyxy[2:], 0, image_wh)
    return float((high - low).prod() / np.prod(image_wh))
