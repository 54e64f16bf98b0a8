"""`python -m train queue …`: jobs for a team that shares few machines."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from data_manifests.command_line import open_store, parse_settings
from data_manifests.errors import ConfigError, StageError, must_be_one_of
from data_manifests.versions import Store
from train.queue import log_of, progress_of
from train.settings import load_train_settings

if TYPE_CHECKING:  # Huey and Redis take most of a second to load, which every command's --help would wait for
    from train.queue import Board, Job

RAW = {"ignore_unknown_options": True, "allow_interspersed_args": False}
QUIET_SECONDS = 15  # a worker gives a sign of life every second
REF_PARAMETERS = ("ref", "val_ref", "words")  # which of a command's parameters hold manifests


@click.group()
@click.option("--url", envvar="QUEUE_URL", default="", help="Redis, such as redis://host:6379/0 (default: SQLite).")
@click.pass_context
def queue(context: click.Context, url: str) -> None:
    """Jobs of a team on shared machines. QUEUE_URL names a Redis; without it SQLite in the workspace is used."""
    from train.queue import open_board

    context.obj = open_board(open_store().workspace, url)


@queue.command(context_settings=RAW)
@click.option("--tries", default=3, show_default=True, type=click.IntRange(1), help="Begun so often if workers die.")
@click.option("--processes", default=1, show_default=True, type=click.IntRange(1), help="More than one: torchrun.")
@click.argument("words", nargs=-1, required=True, type=click.UNPROCESSED, metavar="COMMAND …")
@click.pass_context
def add(context: click.Context, tries: int, processes: int, words: tuple[str, ...]) -> None:
    """Put a command on the board, such as `queue add fit demo --config C optim.epochs=30`.

    It is checked now, and manifests and the file of --config are kept as they are now, whatever comes later.
    """
    board: Board = context.obj
    group: Any = context.find_root().command
    parameters = _parse(group, words)
    store = open_store()
    words = _pin(store, words, parameters)
    job_id = board.new_id()
    config = parameters.get("config")
    if config:
        kept = log_of(store, job_id).with_name("config.yaml").resolve()
        kept.parent.mkdir(parents=True, exist_ok=True)
        file = str(config).partition("#")[0]  # a variant, if one is named, is within the file
        shutil.copyfile(file, kept)
        words = tuple(word.replace(file, str(kept)) if word.endswith(str(config)) else word for word in words)
    board.add(words, tries=tries, processes=processes, job_id=job_id)
    click.echo(f"job {job_id}: {' '.join(words)}; work on it with: python -m train queue work")


@queue.command()
@click.option(
    "--lease",
    default=60.0,
    show_default=True,
    type=click.FloatRange(min=1),
    help="Seconds without a sign of life.",
)
@click.option("--until-done", is_flag=True, help="Leave when every job has ended, instead of waiting for more.")
@click.pass_obj
def work(board: Board, lease: float, until_done: bool) -> None:
    """Do jobs, one after the other. Start one for each GPU: CUDA_VISIBLE_DEVICES=1 python -m train queue work."""
    from train.queue import work

    work(board, open_store(), lease_seconds=lease, until_done=until_done, say=click.echo)


@queue.command(name="list")
@click.option("--all", "everything", is_flag=True, help="Also the jobs before the last 20.")
@click.option("--json", "as_json", is_flag=True, help="One object a line, for programs.")
@click.pass_obj
def list_jobs(board: Board, everything: bool, as_json: bool) -> None:
    """Jobs with their state, for how long, their run and its last score."""
    store, jobs = open_store(), board.jobs()
    shown = jobs if everything else jobs[-20:]
    if as_json:
        for job in shown:
            click.echo(json.dumps(asdict(job) | progress_of(store, job.id)))
        return
    for line in table_lines(shown, {job.id: progress_of(store, job.id) for job in shown}, time.time()):
        click.echo(line)
    counts = ", ".join(f"{sum(job.state == state for job in jobs)} {state}" for state in ("waiting", "running"))
    click.echo(f"{len(jobs)} jobs ({counts}) on {board.place}")


@queue.command()
@click.argument("job_id", metavar="JOB", type=int)
@click.pass_obj
def cancel(board: Board, job_id: int) -> None:
    """End JOB, waiting or running. Its run stays and can be resumed."""
    job = board.job(job_id)
    if job.ended or not board.end(job, "cancelled"):
        raise StageError(f"job {job_id} has ended already: {board.job(job_id).state}.")
    click.echo(f"job {job_id}: cancelled{'; its process ends within seconds' if job.state == 'running' else ''}")


@queue.command()
@click.argument("job_id", metavar="JOB", type=int)
@click.pass_obj
def retry(board: Board, job_id: int) -> None:
    """Begin JOB again, which failed, was cancelled or lost. A run that it began is gone on with."""
    job = board.job(job_id)
    if job.state not in ("failed", "cancelled", "lost"):
        raise StageError(f"job {job_id} is {job.state}; only one that failed, was cancelled or lost is begun again.")
    board.again(job)
    click.echo(f"job {job_id}: attempt {job.attempt + 1} waits; log: {log_of(open_store(), job_id)}")


def table_lines(jobs: list[Job], progress: dict[int, dict[str, Any]], now: float) -> list[str]:
    """The table of `list`."""
    rows = [("job", "state", "for", "try", "run", "last score", "command")]
    for job in jobs:
        seen = progress[job.id]
        score = f"epoch {seen['epoch']}/{seen['epochs']} F1 {seen['val_f1']:.3f}" if "epoch" in seen else ""
        run = Path(seen["run"]).name + (f" +{seen['runs'] - 1}" if seen["runs"] > 1 else "") if seen["runs"] else ""
        tries, why = f"{job.attempt}/{max(job.tries, job.attempt)}", f"  [{job.reason}]" if job.reason else ""
        quiet = job.state == "running" and now - job.seen > QUIET_SECONDS
        state = f"running? (quiet for {age_text(now - job.seen)})" if quiet else job.state
        rows.append((str(job.id), state, age_text(now - job.since), tries, run, score, " ".join(job.words) + why))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    return [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]]) for row in rows
    ]


def age_text(seconds: float) -> str:
    """90 → "1 min". Never below zero, which clocks of two machines can make."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{max(0, int(seconds))} s"


def _parse(group: click.Group, words: tuple[str, ...]) -> dict[str, Any]:
    """The parameters of a command, checked as if it were called now. Raises ConfigError, or click's own errors."""
    known = [name for name in group.commands if name != "queue"]
    if words[0] not in known:
        raise ConfigError(must_be_one_of("command", known, words[0]))
    parameters = group.commands[words[0]].make_context(words[0], list(words[1:])).params
    if "config" in parameters:
        pairs = parameters.get("settings") or [word for word in parameters.get("words", ()) if "=" in word]
        load_train_settings(parameters["config"], parse_settings(tuple(pairs)))
    return parameters


def _pin(store: Store, words: tuple[str, ...], parameters: dict[str, Any]) -> tuple[str, ...]:
    """`faces` and `faces@tag` become `faces@3`, so that the job means what was there when it was added."""
    named: set[str] = set()
    for name in REF_PARAMETERS:
        value = parameters.get(name)
        named |= {word for word in ((value,) if isinstance(value, str) else value or ()) if "=" not in word}
    named = {word for word in named if not word.endswith(".parquet")}
    return (words[0], *(store.version(word).ref if word in named else word for word in words[1:]))
