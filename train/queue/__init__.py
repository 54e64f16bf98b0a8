"""The job queue of shared machines: `facecurate train queue add|work|list|cancel|retry`."""

from train.queue.job_status import job_of_this_process, log_of, progress_of
from train.queue.job_store import Job, JobStore, open_job_store
from train.queue.worker import work

__all__ = ["Job", "JobStore", "job_of_this_process", "log_of", "open_job_store", "progress_of", "work"]
