"""Files of answers, one line per picture: ImageID,ans and, on request, the probabilities of the 18 classes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa

from data_manifests.errors import StageError
from data_manifests.versions import Store, write_atomic
from pipeline.runs import find_run
from train.evaluation.evaluate import load_best, usable_rows
from train.evaluation.predict import PROBABILITIES, predict_folder, predict_rows
from train.models import Trained

Echo = Callable[[str], None]


def predict_to_csv(
    store: Store, name: str, source: str, out: Path, *, probabilities: bool, tta: Sequence[str] = (), echo: Echo
) -> None:
    """Write ImageID,ans for a manifest's usable rows or a folder's pictures. An unreadable picture has no answer."""
    run = find_run(store, name)
    frame, reasons = predict_source(load_best(run), store, source, None, tta)
    write_answers(out, frame, reasons, probabilities)
    for path, reason in reasons.items():
        echo(f"  no answer for {path}: {reason}")
    echo(f"{run.name}: {len(frame)} of {len(frame) + len(reasons)} pictures predicted; wrote {out}")


def predict_source(
    trained: Trained, store: Store, source: str, split: str | None, tta: Sequence[str]
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Return predictions of a folder's pictures or a manifest's rows by `ImageID`, and reasons of unreadable pictures.

    Raises ManifestError if the manifest has other age cuts than the network.
    """
    if Path(source).is_dir():
        frame, reasons = predict_folder(trained, Path(source), store, tta)
    else:
        manifest = store.read(source)
        trained.check_taxonomy(manifest.cuts, manifest.version.ref)
        rows, reasons = usable_rows(manifest, split), {}
        frame = predict_rows(trained, rows, store, manifest.version.ref, "predict", tta)
    return frame.rename(columns={"path": "ImageID"}), reasons


def write_answers(out: Path, frame: pd.DataFrame, reasons: dict[str, str], probabilities: bool) -> None:
    """Write the competition's CSV, with more columns on request. Pictures in `reasons` get no answer."""
    frame = frame.rename(columns={"predicted": "ans"})
    extra = [name for name in ("sample_id", "confidence", *PROBABILITIES) if name in frame] if probabilities else []
    unread = pd.DataFrame({"ImageID": list(reasons)})
    table = pd.concat([frame[["ImageID", "ans", *extra]], unread]).astype({"ans": "Int64"})
    write_atomic(out, table.to_csv(index=False).encode())


def read_answers(file: Path) -> pd.DataFrame:
    """Read a file of `predict`, `evaluate` or `ensemble`, or any with ImageID,ans. Raises StageError for others."""
    try:
        table = pd.read_parquet(file) if file.suffix == ".parquet" else pd.read_csv(file, dtype={"ImageID": str})
    except (OSError, ValueError, pa.ArrowInvalid) as error:
        raise StageError(f"predictions {file} cannot be read: {' '.join(str(error).split())[:160]}") from None
    table = table.rename(columns={"path": "ImageID", "ans": "predicted"})
    if not {"ImageID", "predicted"} <= set(table.columns):
        raise StageError(f"{file} has no ImageID and ans. Make it with: facecurate train predict RUN REF --out {file}")
    return table[table["predicted"].notna()]


def by_sample(table: pd.DataFrame) -> pd.DataFrame:
    """Index a table by sample_id, or by ImageID where there is none, as with folders."""
    return table.set_index("sample_id" if "sample_id" in table else table["ImageID"].rename("sample_id"))
