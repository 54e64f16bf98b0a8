"""The table of audit checks.

A check is one module and one row of CHECKS. The module defines

    score(data)    -> the scores of the check, kept as `data.scores[name]`; rows run in order, so that a check may read
                      the scores of the rows above it
    columns(data)  -> {manifest column: values (P,)} of the photos, exactly the columns of the row
    issues(data)   -> the issues (audit/checks/issues.py), in any order

where `data` is an `audit.checks.AuditData`. This module names the check modules as text, because they import SciPy and
scikit-learn, which hold 80 MB and are loaded only when the worker processes have ended.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NoReturn

from data_manifests.errors import ConfigError, ManifestError, must_be_one_of
from data_manifests.schema import column_type

if TYPE_CHECKING:
    from audit.checks.data import AuditData
    from audit.checks.issues import Issue

TABLE = "audit/checks/table.py"
FUNCTIONS = ("score", "columns", "issues")
OLD_NAMES = {"stranger": "identity"}  # of checks, in settings files written by earlier versions


@dataclass(frozen=True)
class Check:
    """One row of the table.

    `weight` is the value of finding one error of this kind, relative to the other checks (setting `values.NAME`).
    `label` is the name shown in the report and in the app. `marks_photos` is False for a check of a whole profile,
    whose issues do not single out photos.
    """

    name: str
    module: str
    columns: tuple[str, ...]
    weight: float | None
    label: str
    marks_photos: bool = True


# Weights: a label applies to the seven training pictures of a profile, so a wrong label or a photo of another person
# counts most and a blurred photo least.
CHECKS = (
    Check("gender", "audit.checks.gender", ("gender_label_score", "suggested_gender"), 1.0, "gender", False),
    Check("age", "audit.checks.age", ("age_label_score", "suggested_age"), 1.0, "age", False),
    Check("mask", "audit.checks.mask", ("mask_label_score", "suggested_mask"), 1.0, "mask"),
    Check("identity", "audit.checks.identity", ("identity_score",), 1.0, "identity mismatch"),
    Check("duplicate", "audit.checks.duplicate", ("duplicate_of", "same_portrait_of"), 0.5, "duplicate"),
    Check("quality", "audit.checks.quality", ("blur_score", "exposure_score"), 0.3, "quality"),
)


@dataclass(frozen=True)
class LoadedCheck:
    """A row of the table with the functions of its module."""

    row: Check
    score: Callable[[AuditData], Any]
    columns: Callable[[AuditData], Mapping[str, Any]]
    issues: Callable[[AuditData], Iterator[Issue]]


def all_checks() -> tuple[Check, ...]:
    """Return the rows of the table."""
    return CHECKS


def check_names() -> list[str]:
    """Return the names of all checks, in the order of the table."""
    return [check.name for check in CHECKS]


def find_check(name: str) -> Check:
    """Return a row of the table. Raises ConfigError with the choices for an unknown name."""
    for check in CHECKS:
        if check.name == name:
            return check
    raise ConfigError(f"{must_be_one_of('audit check', check_names(), name)} The checks are listed in {TABLE}.")


def default_weights() -> dict[str, float]:
    """Return the weight of each check."""
    return {check.name: float(check.weight or 0) for check in CHECKS}


def complete_weights(values: Mapping[str, float]) -> dict[str, float]:
    """Return the weight of each check, with the setting `values` in place of those of the table.

    Raises ConfigError for an incomplete row and for an unknown check.
    """
    validate_table()
    named = {OLD_NAMES.get(name, name): value for name, value in values.items()}
    for name in named:
        find_check(name)
    return default_weights() | named


def validate_table() -> None:
    """Check every row of the table without importing its module. Raises ConfigError for an incomplete row."""
    for check in CHECKS:
        _validate_row(check, check_names())


def load_checks() -> list[LoadedCheck]:
    """Import the modules of all checks. Raises ConfigError for an incomplete row or module."""
    validate_table()
    return [_load(check) for check in CHECKS]


def _validate_row(check: Check, names: Iterable[str]) -> None:
    if list(names).count(check.name) > 1:
        refuse_row(check, "occurs twice; give each check a different name")
    if not check.label:
        refuse_row(check, "has no label; add the name shown in the report and in the app")
    if check.weight is None or check.weight < 0:
        refuse_row(check, f"must have a weight of 0 or more. Got {check.weight} instead")
    if not check.columns:
        refuse_row(check, "writes no column; name at least one column of data_manifests/schema.py")
    for column in check.columns:
        try:
            column_type(column)
        except ManifestError as error:
            refuse_row(check, f"writes an unknown column: {str(error).rstrip('.')}")
        owner = next(other for other in CHECKS if column in other.columns)
        if owner is not check:
            refuse_row(check, f"writes column {column!r}, which belongs to check {owner.name!r}")
    try:
        found = find_spec(check.module)
    except ModuleNotFoundError:
        found = None
    if found is None:
        refuse_row(check, f"names module {check.module!r}, which does not exist")


def _load(check: Check) -> LoadedCheck:
    module = import_module(check.module)
    missing = [name for name in FUNCTIONS if not callable(getattr(module, name, None))]
    if missing:
        refuse_row(check, f"is incomplete: define {', '.join(missing)} in module {check.module}")
    return LoadedCheck(check, *(getattr(module, name) for name in FUNCTIONS))


def refuse_row(check: Check, problem: str) -> NoReturn:
    """Raise ConfigError with the check, the table and the problem."""
    raise ConfigError(f"audit check {check.name!r} in {TABLE} {problem}.")
