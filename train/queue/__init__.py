"""Jobs of a team that shares few machines: `python -m train queue add|work|list|cancel|retry`."""

from train.queue.job_status import job_of_this_process, log_of, progress_of
from train.queue.job_store import Board, Job, open_board
from train.queue.worker import work

__all__ = ["Board", "Job", "job_of_this_process", "log_of", "open_board", "progress_of", "work"]
