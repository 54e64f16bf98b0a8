"""TODO train.evaluation."""

from train.evaluation.evaluate import best_of, ensemble_to_csv, evaluate_run, predict_to_csv, rows_of
from train.evaluation.folds import fold_lines, train_folds
from train.evaluation.metrics import (
    N_OF_TASK,
    TASKS,
    EpochCounts,
    accuracy,
    bootstrap_intervals,
    calibration_error,
    confusion_of,
    drawn_counts,
    f1_per_class,
    macro_f1,
    person_counts,
    person_draws,
    score_arrays,
    scores_of,
    task_counts,
)
from train.evaluation.paired_scores import paired_scores
from train.evaluation.predict import PROBABILITIES, predict_rows

__all__ = [
    "N_OF_TASK",
    "PROBABILITIES",
    "TASKS",
    "EpochCounts",
    "accuracy",
    "best_of",
    "bootstrap_intervals",
    "calibration_error",
    "confusion_of",
    "drawn_counts",
    "ensemble_to_csv",
    "evaluate_run",
    "f1_per_class",
    "fold_lines",
    "macro_f1",
    "paired_scores",
    "person_counts",
    "person_draws",
    "predict_rows",
    "predict_to_csv",
    "rows_of",
    "score_arrays",
    "scores_of",
    "task_counts",
    "train_folds",
]
