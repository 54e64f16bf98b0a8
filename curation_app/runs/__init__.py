"""The Runs page, and the predictions of a training run for the rows of a version."""

from curation_app.runs.page import page
from curation_app.runs.run_predictions import predictions_for

__all__ = ["page", "predictions_for"]
