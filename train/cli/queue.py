"""Commands of the job queue: `facecurate train queue add|work|list|cancel|retry`."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from data_manifests.command_line import echo_next, open_store, parse_settings
from data_manifests.errors import ConfigError, StageError, must_be_one_of
from data_manifests.versions import Store
from train.settings import load_train_settings

if TYPE_CHECKING:  # loading Huey and Redis takes most of a second, which --help of every command would wait for
    from train.queue import Job, JobStore

RAW = {"ignore_unknown_options": True, "allow_interspersed_args": False}
QUIET_SECONDS = 15  # a worker sends a heartbeat every second
REF_PARAMETERS = ("ref", "val_ref", "words")  # the parameters of commands that hold manifests


@click.group()
@click.option(
    "--url", envvar="QUEUE_URL", default="", help="Use this Redis, such as redis://host:6379/0 (default: SQLite)."
)
@click.pass_context
def queue(context: click.Context, url: str) -> None:
    """Run jobs on shared machines, from a queue in Redis (QUEUE_URL) or else in SQLite in the workspace."""
    from train.queue import open_job_store

    context.obj = open_job_store(open_store().workspace, url)


@queue.command(context_settings=RAW)
@click.option(
    "--tries",
    default=3,
    show_default=True,
    type=click.IntRange(1),
    help="Start the job at most this often if workers die.",
)
@click.option(
    "--processes",
    default=1,
    show_default=True,
    type=click.IntRange(1),
    help="Start this many processes; several run under torchrun.",
)
@click.argument("words", nargs=-1, required=True, type=click.UNPROCESSED, metavar="COMMAND …")
@click.pass_context
def add(context: click.Context, tries: int, processes: int, words: tuple[str, ...]) -> None:
    """Enqueue a command, such as `queue add fit demo --config C optim.epochs=30`.

    The command is checked now; versions of manifests and the file of --config are fixed as they are now.
    """
    from train.queue import log_of

    job_store: JobStore = context.obj
    assert context.parent, "add is a command of queue"
    assert context.parent.parent, "queue is a command of train"
    group: Any = context.parent.parent.command
    parameters = _parse(group, words)
    store = open_store()
    words = _fix_versions(store, words, parameters)
    job_id = job_store.new_id()
    config = parameters.get("config")
    if config:
        copy = log_of(store, job_id).with_name("config.yaml").resolve()
        copy.parent.mkdir(parents=True, exist_ok=True)
        file = str(config).partition("#")[0]  # FILE#VARIANT: variants are in the file
        shutil.copyfile(file, copy)
        words = tuple(word.replace(file, str(copy)) if word.endswith(str(config)) else word for word in words)
    job_store.add(words, tries=tries, processes=processes, job_id=job_id)
    click.echo(f"job {job_id}: {' '.join(words)}")
    echo_next("facecurate train queue work")


@queue.command()
@click.option(
    "--lease",
    default=60.0,
    show_default=True,
    type=click.FloatRange(min=1),
    help="Take a job for lost after this many seconds without a heartbeat.",
)
@click.option("--until-done", is_flag=True, help="Exit when every job has ended, instead of waiting for more.")
@click.pass_obj
def work(job_store: JobStore, lease: float, until_done: bool) -> None:
    """Run jobs one by one. Start one worker for each GPU: CUDA_VISIBLE_DEVICES=1 facecurate train queue work."""
    from train.queue import work

    work(job_store, open_store(), lease_seconds=lease, until_done=until_done, echo=click.echo)
    echo_next("facecurate train queue list")


@queue.command(name="list")
@click.option("--all", "everything", is_flag=True, help="List all jobs, not only the last 20.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
@click.pass_obj
def list_jobs(job_store: JobStore, everything: bool, as_json: bool) -> None:
    """List jobs with their state, its duration, their run and its last score."""
    from train.queue import progress_of

    store, jobs = open_store(), job_store.jobs()
    shown = jobs if everything else jobs[-20:]
    if as_json:
        for job in shown:
            click.echo(json.dumps(asdict(job) | progress_of(store, job.id)))
        return
    for line in table_lines(shown, {job.id: progress_of(store, job.id) for job in shown}, time.time()):
        click.echo(line)
    counts = ", ".join(f"{sum(job.state == state for job in jobs)} {state}" for state in ("waiting", "running"))
    click.echo(f"{len(jobs)} jobs ({counts}) on {job_store.place}")
    waiting = any(job.state == "waiting" for job in jobs)
    echo_next("facecurate train queue work" if waiting else "facecurate app")


@queue.command()
@click.argument("job_id", metavar="JOB", type=int)
@click.pass_obj
def cancel(job_store: JobStore, job_id: int) -> None:
    """End JOB, waiting or running. Its run stays and can be resumed."""
    job = job_store.job(job_id)
    if job.has_ended or not job_store.end(job, "cancelled"):
        raise StageError(f"job {job_id} has ended already: {job_store.job(job_id).state}.")
    click.echo(f"job {job_id}: cancelled{'; its process ends within seconds' if job.state == 'running' else ''}")
    echo_next("facecurate train queue list")


@queue.command()
@click.argument("job_id", metavar="JOB", type=int)
@click.pass_obj
def retry(job_store: JobStore, job_id: int) -> None:
    """Start a failed, cancelled or lost JOB again. Its unfinished run is resumed."""
    from train.queue import log_of

    job = job_store.job(job_id)
    if job.state not in ("failed", "cancelled", "lost"):
        raise StageError(f"job {job_id} is {job.state}. Only failed, cancelled and lost jobs can be retried.")
    job_store.retry(job)
    click.echo(f"job {job_id}: attempt {job.attempt + 1} is waiting; log: {log_of(open_store(), job_id)}")
    echo_next("facecurate train queue work")


def table_lines(jobs: list[Job], progress: dict[int, dict[str, Any]], now: float) -> list[str]:
    """Format the table of `list`."""
    rows = [("job", "state", "for", "try", "run", "last score", "command")]
    for job in jobs:
        about = progress[job.id]
        score = f"epoch {about['epoch']}/{about['epochs']}" if "epoch" in about else ""
        for name in about.keys() & {f"val_{task}f1" for task in ("", "tasks_", "mask_", "gender_", "age_")}:
            score += f" {name.removeprefix('val_').replace('_', ' ').replace('f1', 'F1')} {about[name]:.3f}"
        run = Path(about["run"]).name + (f" +{about['runs'] - 1}" if about["runs"] > 1 else "") if about["runs"] else ""
        tries, reason = f"{job.attempt}/{max(job.tries, job.attempt)}", f"  [{job.reason}]" if job.reason else ""
        is_quiet = job.state == "running" and now - job.seen > QUIET_SECONDS
        state = f"running? (quiet for {age_text(now - job.seen)})" if is_quiet else job.state
        rows.append((str(job.id), state, age_text(now - job.since), tries, run, score, " ".join(job.words) + reason))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    return [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]]) for row in rows
    ]


def age_text(seconds: float) -> str:
    """Format a duration: 90 → "1 min". Negative values, from the clocks of two machines, count as zero."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{max(0, int(seconds))} s"


def _parse(group: click.Group, words: tuple[str, ...]) -> dict[str, Any]:
    """Parse and check a command as if it were called now; return its parameters. Raises ConfigError."""
    allowed = [name for name in group.commands if name != "queue"]
    if words[0] not in allowed:
        raise ConfigError(must_be_one_of("command", allowed, words[0]))
    parameters = group.commands[words[0]].make_context(words[0], list(words[1:])).params
    if "config" in parameters:
        pairs = parameters.get("settings") or [word for word in parameters.get("words", ()) if "=" in word]
        load_train_settings(parameters["config"], parse_settings(tuple(pairs)))
    return parameters


def _fix_versions(store: Store, words: tuple[str, ...], parameters: dict[str, Any]) -> tuple[str, ...]:
    """Replace `faces` and `faces@tag` by `faces@3`, so that the job uses the versions of the time it was added."""
    refs: set[str] = set()
    for name in REF_PARAMETERS:
        value = parameters.get(name)
        refs |= {word for word in ((value,) if isinstance(value, str) else value or ()) if "=" not in word}
    refs = {word for word in refs if not word.endswith(".parquet")}
    return (words[0], *(store.version(word).ref if word in refs else word for word in words[1:]))
