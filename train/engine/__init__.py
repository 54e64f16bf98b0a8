"""Training: losses, optimiser, loop, trackers, and runs from a manifest to a report."""

from train.engine.auto_settings import choose_head
from train.engine.epoch_records import Row, TrainingProgress
from train.engine.loop import fit
from train.engine.losses import HeadLoss
from train.engine.new_run import ancestors, command_line, new_run, same_run
from train.engine.tracking import tracking
from train.engine.training_run import refit_run, resume_and_report, score_line, train_and_report

__all__ = [
    "HeadLoss",
    "Row",
    "TrainingProgress",
    "ancestors",
    "choose_head",
    "command_line",
    "fit",
    "new_run",
    "refit_run",
    "resume_and_report",
    "same_run",
    "score_line",
    "tracking",
    "train_and_report",
]
