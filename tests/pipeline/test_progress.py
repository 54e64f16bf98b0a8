"""Progress: a sensible rate, and a log that stays short."""

from __future__ import annotations

import os
import pty
import re
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from data_manifests.versions.store import Store
from pipeline import progress
from pipeline.progress import Rate, show_progress
from pipeline.stage import run_records
from tests.conftest import write_photos
from tests.support.stage_steps import measure_step


def rate_of(times: list[float]) -> float | None:
    rate = Rate()
    for now in times:
        rate.add_one(now)
    return rate.per_second()


def test_the_time_before_the_first_result_is_no_part_of_the_rate() -> None:
    assert rate_of([40 + 0.1 * i for i in range(100)]) == pytest.approx(10, rel=0.05)


def test_a_rate_from_few_results_or_a_moment_is_not_shown() -> None:
    assert rate_of([]) is None
    assert rate_of([5.0, 9.0, 13.0]) is None
    assert rate_of([5 + 0.01 * i for i in range(100)]) is None


def test_results_that_arrive_together_are_no_speed() -> None:
    bursts = [float(second) for second in range(10, 20) for _ in range(4)]  # four every second
    assert rate_of(bursts) == pytest.approx(4)


def test_the_rate_follows_the_last_half_minute() -> None:
    slow = [float(i) for i in range(60)]
    fast = [60 + 0.1 * i for i in range(600)]
    assert rate_of(slow + fast) == pytest.approx(10, rel=0.05)


def slowly(count: int, pause_s: float) -> Iterator[int]:
    for number in range(count):
        time.sleep(pause_s)
        yield number


def test_a_log_has_few_whole_lines(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "MIN_SECONDS", 0.05)
    monkeypatch.setattr(progress, "LOG_AFTER_S", 0.1)
    assert list(show_progress(slowly(120, 0.005), "audit", 120)) == list(range(120))
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1].startswith("audit: 120 photos in ")
    assert 1 <= len(lines) - 1 <= 6
    for line in lines[:-1]:
        assert re.fullmatch(r"audit: \d+ of 120 photos, [\d.]+ a second, 00:0\d left", line)


def test_an_error_ends_the_log_without_a_total(capsys: pytest.CaptureFixture[str]) -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        list(show_progress(broken(), "audit", 5))
    assert capsys.readouterr().err == ""


def test_a_terminal_shows_a_bar_before_any_result(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = pty.openpty()
    shown: list[bytes] = []
    reader = threading.Thread(target=lambda: shown.append(os.read(ours, 4096)))
    with os.fdopen(theirs, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)

        def results() -> Iterator[int]:
            reader.start()
            reader.join()  # the bar is there while the first result is awaited
            yield 1

        assert list(show_progress(results(), "audit", 1)) == [1]
    os.close(ours)
    assert b"audit:   0%" in shown[0]
    assert b"? left" in shown[0]


def test_a_stage_states_what_is_known_and_what_starts(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_photos(store, tmp_path / "photos", 5)
    table = store.read("drawn").table
    for count in (3, 5, 5):
        run_records("look", [measure_step()], table.slice(0, count), store)
    assert [line for line in capsys.readouterr().err.splitlines() if "known" in line] == [
        "look: 3 photos, 0 known, loading models…",
        "look: 5 photos, 3 known, loading models…",
        "look: 5 photos, all known",
    ]


@pytest.mark.parametrize(("unit", "one"), [("photos", "1 photo"), ("batches", "1 batch"), ("people", "1 person")])
def test_one_result_is_counted_in_the_singular(capsys: pytest.CaptureFixture[str], unit: str, one: str) -> None:
    assert list(show_progress(iter([7]), "work", 1, unit)) == [7]
    assert f"work: {one} in 00:00" in capsys.readouterr().err
