"""What the layouts share: photos as they are listed, and the table that they become."""

from __future__ import annotations

import os
import posixpath
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from data_manifests.errors import ManifestError
from data_manifests.ingest.probe import Probe, is_image_name, probe_files
from data_manifests.schema import BY_NAME, EXTRA_PREFIX, conform
from data_manifests.taxonomy import GENDERS, MASKS, MAX_AGE, MIN_AGE, AgeCuts, age_class_of, class_id_of
from data_manifests.versions import is_inside, sample_id

_GENDER_WORDS = {word: word for word in GENDERS} | {"m": "male", "f": "female"}
_MASK_WORDS = {word: word for word in MASKS}
_WHOLE_NUMBER = re.compile(r"[+-]?\d{1,9}(\.0*)?")


@dataclass
class Photo:
    """One file as its source lists it. `path` is relative to the source; `problems` collects what is wrong."""

    path: str
    person_id: str
    profile_id: str
    shot: str | None = None
    mask: str | None = None
    gender: str | None = None
    age: int | None = None
    age_class: int | None = None  # given only by a source that knows no ages
    extras: Mapping[str, str | None] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)  # worth knowing, but no reason to leave the photo out
    has_file: bool = True


# -- labels -----------------------------------------------------------------------------------------------------


def read_age(text: str) -> int:
    """Age in years from text such as "37" or "37.0". Raises ManifestError."""
    if not _WHOLE_NUMBER.fullmatch(text.strip()):
        raise ManifestError(f"age must be a whole number of years, got {text!r}")
    age = int(text.strip().split(".")[0])
    if not MIN_AGE <= age <= MAX_AGE:
        raise ManifestError(f"age must be {MIN_AGE} to {MAX_AGE}, got {text!r}")
    return age


def read_gender(text: str) -> str:
    """Gender from a word such as "male", "Female" or "F". Raises ManifestError."""
    return _read_word("gender", text, _GENDER_WORDS)


def read_mask(text: str) -> str:
    """How the mask is worn, from one of the three words. Raises ManifestError."""
    return _read_word("mask", text, _MASK_WORDS)


def _read_word(what: str, text: str, words: Mapping[str, str]) -> str:
    word = text.strip().lower()
    if word not in words:
        raise ManifestError(f"{what} must be one of {{{', '.join(words)}}}, got {text!r}")
    return words[word]


# -- paths ------------------------------------------------------------------------------------------------------


def storable_path(text: str) -> tuple[str, str | None]:
    """A listed path → the path that a manifest can hold, and the problem if it points out of its root.

    What may not stand in a manifest (a leading `/`, a drive, `..`, bytes that are not UTF-8) is percent-encoded: the
    row keeps a readable name that no file can have by accident, and the problem quotes the original.
    """
    shown = text.encode("utf8", "backslashreplace").decode()
    if "\0" in text or shown != text:
        encoded = text.encode("utf8", "surrogateescape").replace(b"\0", b"%00")
        raw = "".join(chr(byte) if byte < 128 else f"%{byte:02X}" for byte in encoded)
        return storable_path(raw)[0], f"file name {shown!r} is not text in UTF-8"
    path = posixpath.normpath(text.replace("\\", "/")) if text else ""
    if path in ("", "."):
        return "%00", "path is empty"
    if not re.match(r"/|[A-Za-z]:|\.\.(/|$)", path):
        return path, None
    kept = re.sub(r"^(/+)", lambda found: "%2F" * len(found[1]), path)
    kept = re.sub(r"^([A-Za-z]):", r"\1%3A", kept).replace("..", "%2E%2E")
    return kept, f"path {text!r} leads out of the photo folder"


def walk_images(source: Path) -> tuple[list[str], int]:
    """Paths (relative, POSIX, sorted) of all picture files below a folder, and how many other files lie there.

    Hidden files and folders are passed over. Linked folders are not entered: they could lead round in circles.
    """
    if not source.is_dir():
        raise ManifestError(f"photo folder {str(source)!r} does not exist.")
    images, strays = [], 0
    for folder, folders, names in os.walk(source):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        below = Path(folder).relative_to(source)
        images += [(below / name).as_posix() for name in names if is_image_name(name)]
        strays += sum(not name.startswith(".") and not is_image_name(name) for name in names)
    return sorted(images), strays


def found_photo(listed: str, mask: str | None = None) -> Photo:
    """A photo that was found on disk, by its name alone: nobody says who it is, so it is a person of its own."""
    path, problem = storable_path(
        listed.replace("\\", "%5C")
    )  # legal in a name, but in a manifest / is the only separator
    if "\\" in listed:
        problem = f"file name {listed!r} holds a backslash"
    return Photo(path, path, path, mask=mask, problems=[problem] if problem else [], has_file=problem is None)


# -- the table --------------------------------------------------------------------------------------------------


def photos_to_table(
    photos: Sequence[Photo], source: Path, root_name: str, cuts: AgeCuts, cache: Path | None = None
) -> pa.Table:
    """Read the files of the photos and make the conformed table, one row per photo, in their order."""
    if not photos:
        raise ManifestError(f"there is no photo in {str(source)!r}.")
    real_root = os.path.realpath(source)
    for photo in photos:
        if photo.has_file and not is_inside(real_root, source / photo.path):
            photo.problems.append("path leads out of the photo folder through a link")
            photo.has_file = False
    with_file = [photo for photo in photos if photo.has_file]
    probes = iter(probe_files([source / photo.path for photo in with_file], cache))
    found = [next(probes) if photo.has_file else Probe() for photo in photos]
    for photo, probe in zip(photos, found, strict=True):
        if probe.problem:
            photo.problems.append(probe.problem)
    age = pa.array([photo.age for photo in photos], BY_NAME["age"].type)
    mask, gender = (pa.array([getattr(photo, name) for photo in photos], pa.string()) for name in ("mask", "gender"))
    given = pa.array([photo.age_class for photo in photos], pa.int8())
    age_class = given if given.null_count < len(given) else age_class_of(age, cuts)
    ids = _sample_ids(photos, found)
    columns = {
        "sample_id": ids,
        "source_id": ids,
        "root": [root_name] * len(photos),
        "path": [photo.path for photo in photos],
        "sha256": [probe.sha256 for probe in found],
        "width_px": [probe.width_px for probe in found],
        "height_px": [probe.height_px for probe in found],
        "person_id": [photo.person_id for photo in photos],
        "profile_id": [photo.profile_id for photo in photos],
        "shot": [photo.shot for photo in photos],
        "mask": mask,
        "gender": gender,
        "age": age,
        "age_class": age_class,
        "class_id": class_id_of(mask, gender, age_class),
        "label_source": ["ingest"] * len(photos),
        "status": ["failed" if photo.problems else "ok" for photo in photos],
        "reason": [_reason(photo) for photo in photos],
        "is_synthetic": [False] * len(photos),
    }
    names = {name: None for photo in photos for name in photo.extras}  # in order of appearance
    extras = {name: pa.array([photo.extras.get(name) for photo in photos], pa.string()) for name in names}
    return conform(pa.table({**columns, **extras}))


def _sample_ids(photos: Iterable[Photo], found: Iterable[Probe]) -> list[str]:
    """Ids of the photos. A file that is listed again is a row of its own, told apart by its count."""
    seen: Counter[str] = Counter()
    ids = []
    for photo, probe in zip(photos, found, strict=True):
        seen[photo.path] += 1
        again = f"#{seen[photo.path]}" if seen[photo.path] > 1 else ""
        ids.append(sample_id(photo.path + again, probe.sha256 or ""))
    return ids


def _reason(photo: Photo) -> str | None:
    return "; ".join(f"ingest: {text}" for text in photo.problems + photo.remarks) or None


def extra_name(column: str) -> str:
    """The name under which a user's own column is kept."""
    return column if column.startswith(EXTRA_PREFIX) else EXTRA_PREFIX + column
