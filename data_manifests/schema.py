"""The columns of a manifest: name, type, unit, meaning and the stage that owns it.

A row describes one file; geometry on a row is in the pixels of that row's file. `docs/manifest.md` is made from this
table (`python -m data_manifests schema`). Columns that a user's own CSV brings along are kept under the prefix `x_`.
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
USABLE = ("ok", "fallback")  # rows with a picture that later stages work on


@dataclass(frozen=True)
class Column:
    """One column. `allowed` lists the values of a closed set; `low` and `high` bound a number (both within)."""

    name: str
    type: pa.DataType
    owner: str
    meaning: str
    unit: str = ""
    required: bool = False
    allowed: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None


_TEXT, _I8, _I32, _F32 = pa.string(), pa.int8(), pa.int32(), pa.float32()

COLUMNS = (
    # who and what -----------------------------------------------------------------------------------------------
    Column("sample_id", _TEXT, "any", "names this row; a hash of parent, path and bytes, so unique even for equal files", required=True),
    Column("source_id", _TEXT, "ingest", "`sample_id` of the ingested photo that this row descends from", required=True),
    Column("parent_id", _TEXT, "any", "`sample_id` of the row whose picture this one was made from; empty for a photo"),
    Column("root", _TEXT, "any", "the folder that `path` starts from: a name in `roots.json`, or `workspace`", required=True),
    Column("path", _TEXT, "any", "the picture file, relative to its root, POSIX", required=True),
    Column("sha256", _TEXT, "any", "hash of the file's bytes; empty if it could not be read", unit="hex"),
    Column("width_px", _I32, "any", "width as shown (after EXIF turning)", unit="px", low=1),
    Column("height_px", _I32, "any", "height as shown", unit="px", low=1),
    Column("person_id", _TEXT, "ingest", "the human subject; one split per person", required=True),
    Column("profile_id", _TEXT, "ingest", "one set of seven shots; a synthetic one is `person_id` + `/s` + number", required=True),
    Column("shot", _TEXT, "ingest", "place in the profile", allowed=SHOTS),
    # labels -----------------------------------------------------------------------------------------------------
    Column("mask", _TEXT, "ingest", "how the mask is worn", allowed=MASKS),
    Column("gender", _TEXT, "ingest", "as labelled", allowed=GENDERS),
    Column("age", _I32, "ingest", "as labelled", unit="years", low=MIN_AGE, high=MAX_AGE),
    Column("age_class", _I8, "ingest", "from `age` and the manifest's age cuts", low=0, high=N_AGE_CLASSES - 1),
    Column("class_id", _I8, "ingest", "mask * 6 + gender * 3 + age_class", low=0, high=N_CLASSES - 1),
    Column("label_source", _TEXT, "apply", "`ingest`, or the id of the last correction that changed a label"),
    # where it stands --------------------------------------------------------------------------------------------
    Column("split", _TEXT, "split", "one value per person", allowed=SPLITS),
    Column("fold", _I8, "split", "cross-validation fold, one value per person", low=0),
    Column("status", _TEXT, "any", "the worst outcome so far", required=True, allowed=STATUSES),
    Column("reason", _TEXT, "any", "why the status is not ok, or what is remarkable; `stage: text`, joined by `; `"),
    # geometry ---------------------------------------------------------------------------------------------------
    Column("box_xyxy", pa.list_(_F32, 4), "detect", "the chosen face", unit="px"),
    Column("detection_score", _F32, "detect", "the detector's confidence", low=0, high=1),
    Column("points_xy", pa.list_(_F32, 10), "detect", "eyes (left in the picture first), nose, mouth corners: x, y × 5", unit="px"),
    Column("faces", _I32, "detect", "how many faces were found", low=0),
    Column("landmarks_xy", pa.list_(_F32, 136), "landmarks", "68 points (iBUG order): x, y × 68", unit="px"),
    # audit ------------------------------------------------------------------------------------------------------
    Column("gender_label_score", _F32, "audit", "probability that `gender` is right, all photos of the profile together", low=0, high=1),
    Column("age_label_score", _F32, "audit", "probability that `age` is right", low=0, high=1),
    Column("mask_label_score", _F32, "audit", "probability that `mask` is right, swaps within the profile counted in", low=0, high=1),
    Column("identity_score", _F32, "audit", "probability that the photo shows the person it is filed under", low=0, high=1),
    Column("suggested_gender", _TEXT, "audit", "what the face looks like, where `gender` is more likely wrong than right", allowed=GENDERS),
    Column("suggested_age", _I32, "audit", "the age the face looks, where `age` is more likely wrong than right", unit="years", low=MIN_AGE, high=MAX_AGE),
    Column("suggested_mask", _TEXT, "audit", "what the lower face looks like, where `mask` is more likely wrong than right", allowed=MASKS),
    Column("blur_score", _F32, "audit", "sharpness of the face at a fixed size; below 0.35 is blurred", low=0, high=1),
    Column("exposure_score", _F32, "audit", "share of the face that is neither black nor white; below 0.5 is badly exposed", low=0, high=1),
    Column("duplicate_of", _TEXT, "audit", "`sample_id` of the first photo of a group of the same picture, on all its members"),
    Column("audit_rank", _I32, "audit", "place of the person in the queue, 1 is the look worth most; equal for all photos of a person", low=1),
    Column("audit_reason", _TEXT, "audit", "what to look for on this photo, likeliest first; `; ` between reasons"),
    # made by us -------------------------------------------------------------------------------------------------
    Column("is_synthetic", pa.bool_(), "synth", "true for pictures made by `synth`", required=True),
    Column("recipe", _TEXT, "synth", "JSON that rebuilds the synthetic picture: type, wear, seed, parameters, version"),
    Column("nose_covered_score", _F32, "synth", "share of the nose under mask fabric, from the rendered alpha", low=0, high=1),
    Column("mouth_covered_score", _F32, "synth", "share of the mouth under mask fabric", low=0, high=1),
    Column("chin_covered_score", _F32, "synth", "share of the chin under mask fabric", low=0, high=1),
    Column("made_by", _TEXT, "any", "stages and backends that led to this file, such as `detect:mtcnn@2.6.0; crop@1`"),
)  # fmt: skip

BY_NAME = {column.name: column for column in COLUMNS}
LABELS = ("mask", "gender", "age")  # what people label; age_class and class_id follow


def column_type(name: str) -> pa.DataType | None:
    """The type of a known column; None for a user's own `x_` column, whose type is free."""
    if name in BY_NAME:
        return BY_NAME[name].type
    if name.startswith(EXTRA_PREFIX):
        return None
    raise ManifestError(
        f"column {name!r} is not in the manifest schema. Known columns are in docs/manifest.md; "
        f"columns of your own begin with {EXTRA_PREFIX!r}."
    )


def conform(table: pa.Table) -> pa.Table:
    """Cast to the schema's types, add absent columns as nulls, order columns as above with `x_` columns last.

    Raises ManifestError for an unknown column, one that stands twice, or a value that its type cannot hold.
    """
    extras = [name for name in table.column_names if column_type(name) is None]
    if len(set(table.column_names)) < len(table.column_names):
        twice = sorted({name for name in table.column_names if table.column_names.count(name) > 1})
        raise ManifestError(f"a column may stand once. {{{', '.join(twice)}}} stand twice or more.")
    arrays: dict[str, pa.Array | pa.ChunkedArray] = {}
    for column in COLUMNS:
        if column.name not in table.column_names:
            arrays[column.name] = null_column(table.num_rows, column.type)
            continue
        arrays[column.name] = _cast(column.name, table.column(column.name), column.type)
    return pa.table({**arrays, **{name: _cast_extra(name, table.column(name)) for name in extras}})


def null_column(rows: int, type_: pa.DataType) -> pa.ChunkedArray:
    """A column (rows,) without values, all of whose chunks are one small block of memory.

    Arrow gives a missing fixed-size list the room of a full one: a million rows without landmarks would take 544 MB.
    """
    block = pa.nulls(min(rows, _NULL_BLOCK), type_)
    whole, rest = divmod(rows, _NULL_BLOCK)
    return pa.chunked_array([block] * whole + [block[:rest]] * (rest > 0), type_)


def _cast(name: str, values: pa.ChunkedArray, type_: pa.DataType) -> pa.ChunkedArray:
    if values.type == type_:
        return values
    try:
        return values.cast(type_)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise ManifestError(f"column {name!r} must be {type_}: {' '.join(str(error).split())}") from None


def _cast_extra(name: str, values: pa.ChunkedArray) -> pa.ChunkedArray:
    """A user's own column: text (in whatever layout it came) as plain text, numbers and truth values as they are."""
    type_ = values.type.value_type if pa.types.is_dictionary(values.type) else values.type
    if pa.types.is_large_string(type_) or pa.types.is_string_view(type_) or pa.types.is_null(type_):
        type_ = _TEXT
    plain = (pa.types.is_string, pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean)
    if not any(is_(type_) for is_ in plain):
        raise ManifestError(f"column {name!r} of your own must be text, numbers or true/false. Got {type_} instead.")
    return _cast(name, values, type_)


def as_markdown() -> str:
    """The page docs/manifest.md."""
    lines = [
        "# Manifest columns",
        "",
        "Made from `data_manifests/schema.py` by `make docs`; do not edit. A row describes one file, and geometry on a row "
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
    lines += ["", f"Columns of your own keep the prefix `{EXTRA_PREFIX}`, such as `x_race`.", ""]
    return "\n".join(lines)
