"""Photos as a source lists them, their labels and paths, and their conversion to a manifest table."""

from __future__ import annotations

import os
import posixpath
import re
import shlex
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from data_manifests.errors import ManifestError
from data_manifests.ingest.image_info import ImageInfo, read_image_infos
from data_manifests.photo_files import PhotoFile, is_image_name
from data_manifests.schema import BY_NAME, EXTRA_PREFIX, conform
from data_manifests.taxonomy import GENDERS, MASKS, MAX_AGE, MIN_AGE, AgeCuts, age_class_of, class_id_of
from data_manifests.versions import sample_id

_GENDER_WORDS = {word: word for word in GENDERS} | {"m": "male", "f": "female"}
_MASK_WORDS = {word: word for word in MASKS}
_WHOLE_NUMBER = re.compile(r"[+-]?\d{1,9}(\.0*)?")


@dataclass
class Photo:
    """One file as its source lists it. `path` is relative to the source; any of `problems` fails the row."""

    path: str
    person_id: str
    profile_id: str
    shot: str | None = None
    mask: str | None = None
    gender: str | None = None
    age: int | None = None
    age_class: int | None = None  # counts only without an age in years
    split: str | None = None  # of an existing division of the data set
    extras: Mapping[str, str | None] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)  # written to `reason` without failing the row
    has_file: bool = True


# -- labels -----------------------------------------------------------------------------------------------------


def read_age(text: str) -> int:
    """Return the age in years of a text such as "37" or "37.0". Raises ManifestError."""
    if not _WHOLE_NUMBER.fullmatch(text.strip()):
        raise ManifestError(f"age must be a whole number of years, got {text!r}")
    age = int(text.strip().split(".")[0])
    if not MIN_AGE <= age <= MAX_AGE:
        raise ManifestError(f"age must be {MIN_AGE} to {MAX_AGE}, got {text!r}")
    return age


def read_gender(text: str) -> str:
    """Return the gender of a word such as "male", "Female" or "F". Raises ManifestError."""
    return _read_word("gender", text, _GENDER_WORDS)


def read_mask(text: str) -> str:
    """Return the mask label of one of its three words, in any case. Raises ManifestError."""
    return _read_word("mask", text, _MASK_WORDS)


def _read_word(what: str, text: str, words: Mapping[str, str]) -> str:
    word = text.strip().lower()
    if word not in words:
        raise ManifestError(f"{what} must be one of {{{', '.join(words)}}}, got {text!r}")
    return words[word]


# -- paths ------------------------------------------------------------------------------------------------------


def storable_path(text: str) -> tuple[str, str | None]:
    """Return a listed path in the form that a manifest allows, and the problem if it points outside its root.

    Parts that a manifest does not allow (a leading `/`, a drive, `..`, bytes that are not UTF-8) are percent-encoded:
    the row keeps a readable name that matches no file by accident, and the problem quotes the original.
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


def walk_images(source: Path) -> tuple[list[str], list[str]]:
    """Return the paths (relative, POSIX, sorted) of all image files below a folder, and texts on what is left out.

    Hidden files and folders are skipped, and linked folders are not followed, because links can form a cycle.
    Raises ManifestError if the folder does not exist.
    """
    if not source.is_dir():
        raise ManifestError(f"photo folder {str(source)!r} does not exist.")
    images, others, links = [], 0, []
    for folder, folders, names in os.walk(source):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        below = Path(folder).relative_to(source).as_posix()
        prefix = "" if below == "." else f"{below}/"
        images += [prefix + name for name in names if is_image_name(name)]
        others += sum(not name.startswith(".") and not is_image_name(name) for name in names)
        links += [prefix + name for name in folders if os.path.islink(os.path.join(folder, name))]
    left_out = [f"{others} files that are not images"] if others else []
    if links:
        left_out.append(f"{len(links)} linked folders, such as {links[0]!r}: ingest the folder that a link leads to")
    return sorted(images), left_out


def find_on_disk(source: Path, listed: str) -> str:
    """Return a listed path in the Unicode form of the names on disk: macOS takes letters such as 한 or é apart.

    A path that does not exist is returned as it is.
    """
    if listed.isascii() or os.path.exists(source / listed):
        return listed
    found = ""
    for part in listed.split("/"):
        forms = dict.fromkeys((part, unicodedata.normalize("NFC", part), unicodedata.normalize("NFD", part)))
        existing = (f"{found}{form}" for form in forms if os.path.exists(source / f"{found}{form}"))
        if (name := next(existing, None)) is None:
            return listed
        found = f"{name}/"
    return found.removesuffix("/")


def photo_from_file(listed: str, mask: str | None = None) -> Photo:
    """Return a photo known by its path only. Nothing identifies the person, so it is its own person."""
    # POSIX allows a backslash in a file name, but in a manifest / is the only separator.
    path, problem = storable_path(listed.replace("\\", "%5C"))
    if "\\" in listed:
        problem = f"file name {listed!r} holds a backslash"
    return Photo(path, path, path, mask=mask, problems=[problem] if problem else [], has_file=problem is None)


# -- the table --------------------------------------------------------------------------------------------------


def photos_to_table(
    photos: Sequence[Photo], source: Path, root_name: str, cuts: AgeCuts, cache: Path | None = None
) -> pa.Table:
    """Read the image files of the photos and return the conformed table, one row per photo, in their order.

    `cache` is a file that keeps what was read of unchanged images. Raises ManifestError if there are no photos.
    """
    if not photos:
        raise ManifestError(f"{str(source)!r} contains no photo; {detect_hint(source)}")
    with_file = [photo for photo in photos if photo.has_file]
    infos = iter(read_image_infos([PhotoFile(source, photo.path) for photo in with_file], cache))
    found = [next(infos) if photo.has_file else ImageInfo() for photo in photos]
    for photo, info in zip(photos, found, strict=True):
        if info.problem:
            photo.problems.append(info.problem)
        if info.remark:
            photo.remarks.append(info.remark)
    age = pa.array([photo.age for photo in photos], BY_NAME["age"].type)
    mask, gender = (pa.array([getattr(photo, name) for photo in photos], pa.string()) for name in ("mask", "gender"))
    given = pa.array([photo.age_class for photo in photos], pa.int8())
    age_class = pc.coalesce(age_class_of(age, cuts), given)
    ids = _sample_ids((photo.path, info.sha256) for photo, info in zip(photos, found, strict=True))
    columns = {
        "sample_id": ids,
        "source_id": ids,
        "root": [root_name] * len(photos),
        "path": [photo.path for photo in photos],
        "sha256": [info.sha256 for info in found],
        "width_px": [info.width_px for info in found],
        "height_px": [info.height_px for info in found],
        "person_id": [photo.person_id for photo in photos],
        "profile_id": [photo.profile_id for photo in photos],
        "shot": [photo.shot for photo in photos],
        "mask": mask,
        "gender": gender,
        "age": age,
        "age_class": age_class,
        "class_id": class_id_of(mask, gender, age_class),
        "label_source": ["ingest"] * len(photos),
        "split": pa.array(_splits(photos), pa.string()),
        "status": ["failed" if photo.problems else "ok" for photo in photos],
        "reason": [_reason(photo) for photo in photos],
        "is_synthetic": [False] * len(photos),
    }
    names = {name: None for photo in photos for name in photo.extras}  # in order of appearance
    extras = {name: pa.array([photo.extras.get(name) for photo in photos], pa.string()) for name in names}
    return conform(pa.table({**columns, **extras}))


def _splits(photos: Sequence[Photo]) -> list[str | None]:
    """Return the splits of the photos; none if all of them are in one, because that is no division."""
    found = [photo.split for photo in photos]
    return found if len({*found} - {None}) > 1 else [None] * len(found)


def _sample_ids(files: Iterable[tuple[str, str | None]], *, is_former: bool = False) -> list[str]:
    """Return the ids of photos (path, hash). A file that is listed repeatedly gets distinct ids, by its count."""
    seen: Counter[str] = Counter()
    ids = []
    for path, sha256 in files:
        seen[path] += 1
        again = f"#{seen[path]}" if seen[path] > 1 else ""
        ids.append(sample_id(path + again, sha256 or "", is_former=is_former))
    return ids


def with_former_ids(table: pa.Table) -> pa.Table:
    """Return an ingested table with the ids of earlier releases, for a manifest that has such ids."""
    files = zip(table["path"].to_pylist(), table["sha256"].to_pylist(), strict=True)
    ids = pa.chunked_array([_sample_ids(files, is_former=True)], pa.string())
    for name in ("sample_id", "source_id"):
        table = table.set_column(table.column_names.index(name), name, ids)
    return table


def _reason(photo: Photo) -> str | None:
    """Return problems and remarks as one text.

    The text is part of the content hash: with another wording, an unchanged folder would become a new version.
    """
    return "; ".join(f"ingest: {text}" for text in photo.problems + photo.remarks) or None


def detect_hint(source: Path) -> str:
    """Return the end of a message about a folder of another layout: the command that detects it."""
    return f"to detect the layout: facecurate ingest {shlex.quote(str(source))}"


def extra_name(column: str) -> str:
    """Return the manifest name of a user's column."""
    return column if column.startswith(EXTRA_PREFIX) else EXTRA_PREFIX + column
