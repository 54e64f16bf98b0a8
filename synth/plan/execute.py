"""Execution of a plan: its images are rendered and added to the next version of the manifest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from data_manifests.errors import StageError, must_be_one_of
from data_manifests.schema import EXTRA_PREFIX
from data_manifests.splits import check_no_leak
from data_manifests.taxonomy import SHOT_MASK, age_class_of, class_id_of
from data_manifests.versions import WORKSPACE_ROOT, Manifest, Store, Version, has_former_ids, sample_id
from pipeline.stage import IDENTITY, run_records
from pipeline.step import Result
from synth.masks import INCORRECT_PLACEMENTS, TYPES, keep_template, load_templates
from synth.plan.age_mover_spec import describe_age_mover
from synth.plan.plan_table import PLAN_COLUMNS
from synth.plan.render_step import TEMPLATE, VERSION, render_step, templates_folder
from synth.settings import SynthSettings

_FROM_PARENT = ("person_id", "gender", "age", "age_class", "split", "fold", "source_id", "outside_share")


@dataclass(frozen=True)
class PlanResult:
    """Result of a plan: the version written, and counts with `ok + failed = planned`."""

    version: Version
    planned: int
    failed: int
    reused: int
    reasons: dict[str, int]

    def lines(self) -> list[str]:
        """Return text for a terminal: the most frequent reasons, then the ledger."""
        lines = [f"  {count} × {reason}" for reason, count in Counter(self.reasons).most_common(8)]
        ok = self.planned - self.failed
        made = f"{ok - self.reused} made, {self.reused} reused"
        return [*lines, f"synth: ok {ok} ({made}) + failed {self.failed} = {self.planned} planned"]


def run_plan(
    store: Store, manifest: Manifest, plan: pd.DataFrame, settings: SynthSettings, *, jobs: int | None = None
) -> PlanResult:
    """Render every row of the plan and write the next version; an image that cannot be made becomes a failed row.

    Raises ManifestError if a synthetic row leaves its person's split, StageError if the plan names photos that are not
    in the manifest or moves ages with too few people to learn from.
    """
    mover = ""
    if plan["to_age"].notna().any():
        mover = describe_age_mover(settings.ages, manifest.table, store, manifest.cuts)
    own = keep_own_masks(plan, settings, store.workspace)
    todo = _records(manifest.table, plan, mover, own)
    results, reused = run_records("synth", [render_step(store.workspace)], todo, store, jobs=jobs)
    table = manifest.table
    if results:
        table = pa.concat_tables([table, _new_rows(todo, results, manifest)])
    check_no_leak(table)
    version = store.write(
        manifest.version.name,
        table,
        "synth",
        parents=[manifest.version],
        parameters={**settings.model_dump(mode="json", by_alias=True), "planned": len(plan), "step": VERSION},
        seed=settings.seed,
    )
    failed = [result["reason"] for result in results if result["status"] == "failed"]
    return PlanResult(version, len(results), len(failed), reused, Counter(failed))


def keep_own_masks(plan: pd.DataFrame, settings: SynthSettings, workspace: Path) -> dict[str, str]:
    """Keep the user's templates of a plan in the workspace: name → sha256. Raises StageError for an unknown type."""
    own = load_templates(settings.templates) if settings.templates else {}
    used = sorted({str(name) for name in plan["mask_type"].dropna() if name})
    for name in used:
        if name not in own and name not in TYPES:
            raise StageError(must_be_one_of("mask_type of the plan", (*TYPES, *own), name))
        if name in own:
            keep_template(own[name], templates_folder(workspace))
    return {name: own[name].sha256 for name in used if name in own}


def _records(table: pa.Table, plan: pd.DataFrame, mover: str, own: Mapping[str, str]) -> pa.Table:
    """Join plan rows with the columns of their photos, the age mover, and the hash of the user's templates."""
    columns = list(dict.fromkeys((*IDENTITY, *_FROM_PARENT, *_extras(table), "landmarks_xy")))
    photos = table.select(columns).to_pandas(types_mapper=pd.ArrowDtype)
    unknown = set(plan["parent_id"]) - set(photos["sample_id"])
    if unknown:
        raise StageError(
            f"the plan names {len(unknown)} photos that are not in the manifest, first {min(unknown)!r}. Plan again."
        )
    chosen = plan[list(PLAN_COLUMNS)].drop(columns="person_id").fillna({"mask_type": "", "wear": ""})
    work = chosen.merge(photos, left_on="parent_id", right_on="sample_id", how="left", validate="many_to_one")
    moves = work["to_age"].notna()
    incomplete = moves & (work["from_age"].isna() | work["gender"].isna())
    if incomplete.any():
        raise StageError(
            f"{work.loc[incomplete, 'profile_id'].iloc[0]}: to move an age, from_age, to_age and a gender are needed."
        )
    work["mover"] = np.where(moves, mover, "")
    work["mover_gender"] = work["gender"].astype(object).where(moves, None)
    work[TEMPLATE] = work["mask_type"].map(lambda name: own.get(name, ""))
    return pa.Table.from_pandas(work, preserve_index=False)


def _extras(table: pa.Table) -> list[str]:
    """Return the user's own columns, which a synthetic row inherits from its photo."""
    return [name for name in table.column_names if name.startswith(EXTRA_PREFIX)]


def _new_rows(todo: pa.Table, results: list[Result], manifest: Manifest) -> pa.Table:
    is_former = has_former_ids(manifest.table["source_id"])
    rows = [_new_row(record, result, is_former) for record, result in zip(todo.to_pylist(), results, strict=True)]
    columns = {
        field.name: pa.array([row.get(field.name) for row in rows], field.type) for field in manifest.table.schema
    }
    columns |= {name: todo.column(name) for name in _extras(manifest.table)}
    table = pa.table(columns)
    age_class = pc.coalesce(age_class_of(table["age"], manifest.cuts), table["age_class"])  # known only as a class
    class_id = class_id_of(table["mask"], table["gender"], age_class)
    for name, values in (("age_class", age_class), ("class_id", class_id)):
        table = table.set_column(table.column_names.index(name), name, values)
    return table.select(manifest.table.column_names)


def _new_row(record: dict[str, Any], result: Result, is_former: bool) -> dict[str, Any]:
    made = result["status"] != "failed"
    shot, placement = record["shot"] or None, record["wear"]
    mask = SHOT_MASK[shot] if shot else "incorrect" if placement in INCORRECT_PLACEMENTS else placement or "none"
    picture = result["picture"] or {"path": f"images/synth/not-made/{record['profile_id']}/{shot or 'image'}.jpg"}
    content = f"{record['profile_id']}/{record['shot']}"
    row = {name: record[name] for name in _FROM_PARENT} | {
        "sample_id": sample_id(picture["path"], content, record["parent_id"], is_former=is_former),
        "parent_id": record["parent_id"],
        "root": WORKSPACE_ROOT,
        **{name: picture.get(name) for name in ("path", "sha256", "width_px", "height_px")},
        "profile_id": record["profile_id"],
        "age": record["age"] if record["to_age"] is None else record["to_age"],
        "shot": shot,
        "mask": mask,
        "label_source": "synth",
        "status": result["status"],
        "reason": result["reason"] or None,
        "is_synthetic": True,
    }
    if made:
        row["made_by"] = "; ".join(part for part in (record["made_by"], f"synth:{VERSION}") if part)
    return row | result["columns"]
