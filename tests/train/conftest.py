"""Fixtures of the job queue: its databases, empty at the start of each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from data_manifests.versions.store import Store
from tests.support.train_jobs import redis_server
from train.queue.job_store import JobStore, open_job_store


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with redis_server(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture(params=["sqlite", pytest.param("redis", marks=pytest.mark.redis)])
def url(request: pytest.FixtureRequest) -> str:
    """Return the URL of each database, empty at the start of a test."""
    if request.param == "sqlite":
        return ""
    url = request.getfixturevalue("redis_url")
    open_job_store(Path(), url).huey.storage.flush_all()
    return url


@pytest.fixture
def job_store(store: Store, url: str) -> JobStore:
    return open_job_store(store.workspace, url)
