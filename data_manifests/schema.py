"""The columns of a manifest: name, type, unit, meaning and the stage that owns it.

A row describes one file; geometry on a row is in the pixels of that row's file. `docs/reference/manifest.md` is
generated from this table (`facecurate schema`). Further columns of a user's CSV are kept under the prefix
`x_`.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from data_manifests.errors import ManifestError
from data_manifests.taxonomy import GENDERS, MASKS, MAX_AGE, MIN_AGE, N_AGE_CLASSES, N_CLASSES, SHOTS

EXTRA_PREFIX = "x_"
STATUSES = ("ok", "fallback", "failed", "excluded")
SPLITS = ("train", "val", "test")
_NULL_BLOCK = 1 << 13  # rows
USABLE = ("ok", "fallback")  # rows with an image that later stages process


@dataclass(frozen=True)
class Column:
    """One column. `allowed` lists the values of a closed set; `low` and `high` bound a number (both inclusive).

    `is_later` marks a column added after 0.1.0: while it is empty, it is left out of the content hash, so that the
    hashes of older versions stay valid. `is_derived` marks a column that repeats values of others: it is never hashed,
    so that a command repeated in an older workspace gives the version that 0.1.0 wrote.
    """

    name: str
    type: pa.DataType
    owner: str
    meaning: str
    unit: str = ""
    required: bool = False
    allowed: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    is_later: bool = False
    is_derived: bool = False


_TEXT, _I8, _I32, _F32 = pa.string(), pa.int8(), pa.int32(), pa.float32()

# A column added here after 0.1.0 needs `is_later=True` or `is_derived=True`.
COLUMNS = (
    # identity ---------------------------------------------------------------------------------------------------
    Column("sample_id", _TEXT, "any", "id of this row: a hash of parent, path and bytes, so unique even for equal files", required=True),
    Column("source_id", _TEXT, "ingest", "`sample_id` of the ingested photo from which this row descends", required=True),
    Column("parent_id", _TEXT, "any", "`sample_id` of the row from whose image this one was made; empty for a photo"),
    Column("root", _TEXT, "any", "the folder to which `path` is relative: a name in `roots.json`, or `workspace`", required=True),
    Column("path", _TEXT, "any", "the image file, relative to its root, POSIX", required=True),
    Column("sha256", _TEXT, "any", "hash of the file's bytes; empty if it could not be read", unit="hex"),
    Column("width_px", _I32, "any", "width as displayed (after EXIF orientation)", unit="px", low=1),
    Column("height_px", _I32, "any", "height as displayed (after EXIF orientation)", unit="px", low=1),
    Column("person_id", _TEXT, "ingest", "the human subject; one split per person", required=True),
    Column("profile_id", _TEXT, "ingest", "one set of seven shots; for a synthetic profile `person_id` + `/s` + number", required=True),
    Column("shot", _TEXT, "ingest", "position in the profile", allowed=SHOTS),
    # labels -----------------------------------------------------------------------------------------------------
    Column("mask", _TEXT, "ingest", "placement of the mask", allowed=MASKS),
    Column("gender", _TEXT, "ingest", "labelled gender", allowed=GENDERS),
    Column("age", _I32, "ingest", "labelled age", unit="years", low=MIN_AGE, high=MAX_AGE),
    Column("age_class", _I8, "ingest", "age class of `age` under the manifest's age cuts: 0, 1 or 2", low=0, high=N_AGE_CLASSES - 1),
    Column("class_id", _I8, "ingest", "mask * 6 + gender * 3 + age_class", low=0, high=N_CLASSES - 1),
    Column("label_source", _TEXT, "apply", "`ingest`, or the id of the last correction that changed a label"),
    # split and status -------------------------------------------------------------------------------------------
    Column("split", _TEXT, "split", "one value per person", allowed=SPLITS),
    Column("fold", _I8, "split", "cross-validation fold, one value per person", low=0),
    Column("status", _TEXT, "any", "worst outcome of all stages so far", required=True, allowed=STATUSES),
    Column("reason", _TEXT, "any", "why the status is not ok, or a remark; `stage: text`, joined by `; `"),
    Column("excluded_by", _TEXT, "apply", "the annotator whose correction excluded the row, as in `reason`; empty for other rows", is_derived=True),
    # geometry ---------------------------------------------------------------------------------------------------
    Column("box_xyxy", pa.list_(_F32, 4), "detect", "the chosen face", unit="px"),
    Column("detection_score", _F32, "detect", "the detector's confidence", low=0, high=1),
    Column("points_xy", pa.list_(_F32, 10), "detect", "eyes (left in the picture first), nose, mouth corners: x, y × 5", unit="px"),
    Column("faces", _I32, "detect", "number of faces found", low=0),
    Column("landmarks_xy", pa.list_(_F32, 136), "landmarks", "68 points (iBUG order): x, y × 68", unit="px"),
    Column("outside_share", _F32, "crop", "share of the crop's area beyond the border of its picture, which was filled", low=0, high=1, is_later=True),
    Column("photo_corners_xy", pa.list_(_F32, 8), "crop", "corners of the picture in its crop, where part of the crop lies beyond them: x, y × 4", unit="px", is_later=True),
    # audit ------------------------------------------------------------------------------------------------------
    Column("gender_label_score", _F32, "audit", "probability that `gender` is correct, from all photos of the profile", low=0, high=1),
    Column("age_label_score", _F32, "audit", "probability that `age` is correct", low=0, high=1),
    Column("mask_label_score", _F32, "audit", "probability that `mask` is correct, including swaps within the profile", low=0, high=1),
    Column("identity_score", _F32, "audit", "probability that the photo shows the person given in `person_id`", low=0, high=1),
    Column("suggested_gender", _TEXT, "audit", "predicted gender, where `gender` is more likely wrong than correct", allowed=GENDERS),
    Column("suggested_age", _I32, "audit", "predicted age, where `age` is more likely wrong than correct", unit="years", low=MIN_AGE, high=MAX_AGE),
    Column("suggested_mask", _TEXT, "audit", "predicted mask, where `mask` is more likely wrong than correct", allowed=MASKS),
    Column("blur_score", _F32, "audit", "sharpness of the face at a fixed size; below 0.35 is blurred", low=0, high=1),
    Column("exposure_score", _F32, "audit", "share of the face that is neither black nor white; below 0.5 is badly exposed", low=0, high=1),
    Column("duplicate_of", _TEXT, "audit", "`sample_id` of the first photo of a group of near-duplicates, on all its members"),
    Column("same_portrait_of", _TEXT, "audit", "`sample_id` of the first photo of a group that shows one portrait, such as with several masks, on all its members", is_later=True),
    Column("audit_rank", _I32, "audit", "position of the person in the review queue, 1 first; equal for all photos of a person", low=1),
    Column("audit_reason", _TEXT, "audit", "the issues of this photo as one text with their probabilities, likeliest first, joined by `; `"),
    Column("issue_types", pa.list_(_TEXT), "audit", "the audit check of each issue of this photo, likeliest first", is_later=True),
    Column("issue_probabilities", pa.list_(_F32), "audit", "probability that each of `issue_types` is real, 0 to 1", is_later=True),
    Column("issue_reasons", pa.list_(_TEXT), "audit", "label and reason of each of `issue_types`, for display", is_later=True),
    # synthetic images -------------------------------------------------------------------------------------------
    Column("is_synthetic", pa.bool_(), "synth", "true for images made by `synth`", required=True),
    Column("recipe", _TEXT, "synth", "JSON that reproduces the synthetic image: mask type, placement, seed, parameters, version"),
    Column("nose_covered_score", _F32, "synth", "share of the nose covered by the mask, from the rendered alpha", low=0, high=1),
    Column("mouth_covered_score", _F32, "synth", "share of the mouth covered by the mask", low=0, high=1),
    Column("chin_covered_score", _F32, "synth", "share of the chin covered by the mask", low=0, high=1),
    Column("made_by", _TEXT, "any", "stages and backends that produced this file, such as `detect:mtcnn@2.6.0; crop@1`"),
)  # fmt: skip

BY_NAME = {column.name: column for column in COLUMNS}
LABELS = ("mask", "gender", "age")  # labelled by people; age_class and class_id are derived


def column_type(name: str) -> pa.DataType | None:
    """Return the type of a known column, or None for a user's `x_` column, whose type is free.

    Raises ManifestError for any other name.
    """
    if name in BY_NAME:
        return BY_NAME[name].type
    if name.startswith(EXTRA_PREFIX):
        return None
    raise ManifestError(
        f"column {name!r} is not in the manifest schema. Known columns are in docs/reference/manifest.md; "
        f"further columns begin with {EXTRA_PREFIX!r}."
    )


def conform(table: pa.Table) -> pa.Table:
    """Cast to the schema's types, add absent columns as nulls, order columns as above with `x_` columns last.

    Raises ManifestError for an unknown or repeated column, or a value that the column's type cannot hold.
    """
    extras = [name for name in table.column_names if column_type(name) is None]
    if len(set(table.column_names)) < len(table.column_names):
        twice = sorted({name for name in table.column_names if table.column_names.count(name) > 1})
        raise ManifestError(f"column names must be unique. Got {{{', '.join(twice)}}} more than once.")
    arrays: dict[str, pa.Array | pa.ChunkedArray] = {}
    for column in COLUMNS:
        if column.name not in table.column_names:
            arrays[column.name] = null_column(table.num_rows, column.type)
            continue
        arrays[column.name] = cast_column(column.name, table.column(column.name))
    return pa.table({**arrays, **{name: _cast_extra(name, table.column(name)) for name in extras}})


def null_column(rows: int, type_: pa.DataType) -> pa.ChunkedArray:
    """Return a column (rows,) of nulls, all of whose chunks share one small block of memory.

    Arrow stores a null fixed-size list at full size: a million rows without landmarks would take 544 MB.
    """
    block = pa.nulls(min(rows, _NULL_BLOCK), type_)
    whole, rest = divmod(rows, _NULL_BLOCK)
    return pa.chunked_array([block] * whole + [block[:rest]] * (rest > 0), type_)


def cast_column(name: str, values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a known column in the type of the schema. Raises ManifestError for a value that it cannot hold."""
    return _cast(name, values, BY_NAME[name].type)


def _cast(name: str, values: pa.ChunkedArray, type_: pa.DataType) -> pa.ChunkedArray:
    if values.type == type_:
        return values
    try:
        return values.cast(type_)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise ManifestError(f"column {name!r} must be {type_}: {' '.join(str(error).split())}") from None


def _cast_extra(name: str, values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Cast a user's column: any text type to string; numbers and booleans keep their type."""
    type_ = values.type.value_type if pa.types.is_dictionary(values.type) else values.type
    if pa.types.is_large_string(type_) or pa.types.is_string_view(type_) or pa.types.is_null(type_):
        type_ = _TEXT
    plain = (pa.types.is_string, pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean)
    if not any(is_(type_) for is_ in plain):
        raise ManifestError(f"column {name!r} must be text, numbers or booleans. Got {type_} instead.")
    return _cast(name, values, type_)


def as_markdown() -> str:
    """Return the page docs/reference/manifest.md."""
    lines = [
        "# Manifest columns",
        "",
        "Generated from `data_manifests/schema.py` by `make docs`; do not edit. A row describes one file, and geometry on a row "
        "is in the pixels of that row's file.",
        "",
        "| column | type | unit | owner | meaning |",
        "|---|---|---|---|---|",
    ]
    for column in COLUMNS:
        meaning = column.meaning
        if column.allowed:
            meaning += f" ({', '.join(f'`{value}`' for value in column.allowed)})"
        if column.low is not None or column.high is not None:
            meaning += (
                f" [{column.low if column.low is not None else ''} … {column.high if column.high is not None else ''}]"
            )
        star = " (never empty)" if column.required else ""
        lines.append(f"| `{column.name}` | {column.type} | {column.unit} | {column.owner} | {meaning}{star} |")
    lines += [
        "",
        f"Further columns of an ingested CSV are kept with the prefix `{EXTRA_PREFIX}`, such as `x_race`.",
        "",
    ]
    return "\n".join(lines)
