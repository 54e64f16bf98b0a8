"""The worst mistakes of a training run, for its report and for the app."""

from __future__ import annotations

import numpy as np
import pandas as pd

from pipeline.runs import PROBABILITIES

MISTAKE_COLUMNS = ("sample_id", "split", "target", "predicted", "confidence", *PROBABILITIES)


def worst_mistakes(predictions: pd.DataFrame, limit: int) -> pd.DataFrame:
    """Return the validation rows with the most confident wrong prediction, the most confident first.

    `predictions` has `MISTAKE_COLUMNS`. Adds `p_label`, the probability of the labelled class, and `margin`, by which
    the probability of the predicted class exceeds it.
    """
    wrong = predictions[(predictions["split"] == "val") & (predictions["target"] != predictions["predicted"])]
    target = wrong["target"].to_numpy(np.int64)
    p_label = wrong[PROBABILITIES].to_numpy()[np.arange(len(wrong)), target]
    wrong = wrong.assign(p_label=p_label, margin=wrong["confidence"] - p_label)
    return wrong.sort_values(["margin", "sample_id"], ascending=[False, True]).head(limit)
