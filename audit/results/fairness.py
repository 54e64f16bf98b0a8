"""Does suspicion follow the errors, or only the rare classes?"""

from __future__ import annotations

import numpy as np
import pandas as pd

from audit.checks import Findings
from audit.scoring import SUSPECT
from data_manifests.taxonomy import GENDERS, AgeCuts


def by_group(found: Findings, cuts: AgeCuts) -> pd.DataFrame:
    """Per gender and age class as filed: people, and the share whose gender and whose age is more likely wrong than
    right. A group that is flagged many times as often as the others deserves a second look itself.
    """
    ages = found.age.filed.astype(float)
    frame = pd.DataFrame(
        {
            "gender": found.gender.filed,
            "age": np.where(np.isfinite(ages), np.digitize(np.nan_to_num(ages), [cuts.middle, cuts.old]), -1),
            "gender_flagged": found.gender.mixed | (found.gender.right < SUSPECT),
            "age_flagged": found.age.mixed | (found.age.right < SUSPECT),
        }
    )
    rows = []
    for gender in GENDERS:
        for age_class, name in enumerate(cuts.names):
            group = frame[(frame["gender"] == gender) & (frame["age"] == age_class)]
            if len(group):
                shares = group[["gender_flagged", "age_flagged"]].mean()
                rows.append({"gender": gender, "age": name, "people": len(group), **shares.to_dict()})
    return pd.DataFrame(rows, columns=["gender", "age", "people", "gender_flagged", "age_flagged"])
