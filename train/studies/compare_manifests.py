"""The command that proves what curation is worth: manifests compared, and the leak of a split by image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from data_manifests.errors import ConfigError
from data_manifests.versions import Manifest, Store
from train.data import embed_rows
from train.distributed import team_for
from train.evaluation import evaluate_run, rows_of
from train.runs import Run
from train.settings import TrainSettings
from train.studies.compare import compare, comparison_lines, write_comparison
from train.studies.split_leakage import leak_lines, leak_table
from train.training import train_and_report

Say = Callable[[str], None]


def compare_manifests(
    store: Store, refs: Sequence[str], settings: TrainSettings, seeds: int, val_ref: str, leak_ref: str | None, say: Say
) -> Path:
    """Compare manifests, and show the leak on `leak_ref` if it is given; gives the page that was written."""

    def train(ref: str, chosen: TrainSettings) -> Run:
        return train_and_report(store, ref, chosen, once=True, say=say, each_epoch=False)

    def test(run: Run) -> pd.DataFrame:
        evaluate_run(store, run.name, None, "test", say=lambda line: None)
        about = run.about()
        name = about["manifest"].replace("@", "-")
        return pd.read_parquet(run.path / f"evaluate-{name}-test.parquet")

    if team_for(settings.device).size > 1:
        raise ConfigError("compare is for one process, which finds the runs that torchrun has made before it.")
    if settings.model.embedding:
        _embed_all([store.read(ref) for ref in refs], store, settings.model.embedding)
    result = compare(store, refs, settings, seeds, val_ref, train)
    if leak_ref:
        result["leak"] = leak_table(store, leak_ref, settings, seeds, train, test, np.random.default_rng(0))
    page = write_comparison(result, store)
    for line in [*comparison_lines(result), *(leak_lines(result["leak"]) if leak_ref else [])]:
        say(line)
    say(f"{result['rows']} photos of {result['people']} people, labels of {result['val']}; report: {page}")
    return page


def _embed_all(manifests: Sequence[Manifest], store: Store, embedding: str) -> None:
    """Look at all pictures in one go: the workers start once, and every run finds its vectors."""
    rows = pa.concat_tables([rows_of(manifest) for manifest in manifests])
    _, first = np.unique(rows["sample_id"].to_pylist(), return_index=True)
    embed_rows(rows.take(pa.array(np.sort(first))), store, embedding, manifests[0].version.ref)
