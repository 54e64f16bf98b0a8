"""Share of flagged labels per gender and age class: a comparison of real errors with mere rarity."""

from __future__ import annotations

import numpy as np
import pandas as pd

from audit.checks import AuditData
from audit.scoring import SUSPECT
from data_manifests.taxonomy import GENDERS, AgeCuts, age_class_of

COLUMNS = ("gender", "age", "people", "gender_flagged", "age_flagged")


def flagged_by_group(data: AuditData, cuts: AgeCuts) -> pd.DataFrame:
    """Return a row per given gender and age class: people, and shares whose gender and age are probably wrong.

    A group that is flagged far more often than the others deserves a review of its own.
    """
    gender, age = data.scores["gender"], data.scores["age"]
    years = age.given.astype(float)
    frame = pd.DataFrame(
        {
            "gender": gender.given,
            "age": np.where(np.isfinite(years), age_class_of(np.nan_to_num(years), cuts), -1),
            "gender_flagged": gender.inconsistent | (gender.p_correct < SUSPECT),
            "age_flagged": age.inconsistent | (age.p_correct < SUSPECT),
        }
    )
    rows = []
    for gender_name in GENDERS:
        for age_class, class_name in enumerate(cuts.names):
            group = frame[(frame["gender"] == gender_name) & (frame["age"] == age_class)]
            if len(group):
                shares = group[["gender_flagged", "age_flagged"]].mean()
                rows.append({"gender": gender_name, "age": class_name, "people": len(group), **shares.to_dict()})
    return pd.DataFrame(rows, columns=list(COLUMNS))
