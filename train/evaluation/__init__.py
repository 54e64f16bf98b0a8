"""Evaluation: predictions, scores, bootstrap intervals over people, files of answers, and ensembles."""

from train.evaluation.answers import predict_to_csv
from train.evaluation.bootstrap import (
    accuracy_without_error,
    bootstrap_counts,
    bootstrap_intervals,
    draw_people_after_all,
    paired_scores,
    percentile_interval,
    person_counts,
    resampled_counts,
)
from train.evaluation.ensemble import ensemble_to_csv
from train.evaluation.evaluate import evaluate_run, load_best, task_lines, usable_rows
from train.evaluation.metrics import (
    N_OF_TASK,
    NOT_TRAINED,
    TASKS,
    EpochCounts,
    Scores,
    accuracy,
    calibration_error,
    confusion_of,
    f1_per_class,
    headline_of,
    not_measurable,
    score_arrays,
    score_title,
    scores_of,
    task_counts,
    task_probabilities,
)
from train.evaluation.predict import PROBABILITIES, predict_rows

__all__ = [
    "NOT_TRAINED",
    "N_OF_TASK",
    "PROBABILITIES",
    "TASKS",
    "EpochCounts",
    "Scores",
    "accuracy",
    "accuracy_without_error",
    "bootstrap_counts",
    "bootstrap_intervals",
    "calibration_error",
    "confusion_of",
    "draw_people_after_all",
    "ensemble_to_csv",
    "evaluate_run",
    "f1_per_class",
    "headline_of",
    "load_best",
    "not_measurable",
    "paired_scores",
    "percentile_interval",
    "person_counts",
    "predict_rows",
    "predict_to_csv",
    "resampled_counts",
    "score_arrays",
    "score_title",
    "scores_of",
    "task_counts",
    "task_lines",
    "task_probabilities",
    "usable_rows",
]
