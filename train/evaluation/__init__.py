"""Evaluation: predictions, scores, bootstrap intervals over people, files of answers, and ensembles."""

from train.evaluation.answers import predict_to_csv
from train.evaluation.bootstrap import (
    bootstrap_counts,
    bootstrap_intervals,
    draw_people_after_all,
    paired_scores,
    percentile_interval,
    person_counts,
    resampled_counts,
)
from train.evaluation.ensemble import ensemble_to_csv
from train.evaluation.evaluate import evaluate_run, load_best, usable_rows
from train.evaluation.metrics import (
    N_OF_TASK,
    TASKS,
    EpochCounts,
    accuracy,
    calibration_error,
    confusion_of,
    f1_per_class,
    macro_f1,
    score_arrays,
    scores_of,
    task_counts,
)
from train.evaluation.predict import PROBABILITIES, predict_rows

__all__ = [
    "N_OF_TASK",
    "PROBABILITIES",
    "TASKS",
    "EpochCounts",
    "accuracy",
    "bootstrap_counts",
    "bootstrap_intervals",
    "calibration_error",
    "confusion_of",
    "draw_people_after_all",
    "ensemble_to_csv",
    "evaluate_run",
    "f1_per_class",
    "load_best",
    "macro_f1",
    "paired_scores",
    "percentile_interval",
    "person_counts",
    "predict_rows",
    "predict_to_csv",
    "resampled_counts",
    "score_arrays",
    "scores_of",
    "task_counts",
    "usable_rows",
]
