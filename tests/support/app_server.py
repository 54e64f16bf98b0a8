"""The curation app for tests: the server on a free port, Chromium, and people to review."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, expect, sync_playwright

from data_manifests.taxonomy import SHOT_MASK, SHOTS
from data_manifests.versions.content_hash import file_sha256, sample_id
from data_manifests.versions.metadata import Version
from data_manifests.versions.store import Store
from pipeline.photos.images import save_rgb
from tests.conftest import draw_picture
from tests.support.manifest_tables import manifest

ROOT = Path(__file__).resolve().parents[2]
_PATIENCE_S = 120  # for a busy machine; nothing is measured by it


class Server:
    """`streamlit run curation_app` on one workspace; `kill` acts as a power cut."""

    def __init__(self, workspace: Path, *arguments: str, port: int | None = None) -> None:
        self.workspace, self.port = workspace, port or free_port()
        self.url = f"http://localhost:{self.port}"
        self._log = workspace / f"server-{self.port}.log"
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [
                    sys.executable, "-m", "streamlit", "run", "curation_app", "--server.port", str(self.port), "--",
                    "--workspace", str(workspace), *arguments,
                ],
                cwd=ROOT, stdout=log, stderr=log, start_new_session=True, env=os.environ | {"PYTHONUNBUFFERED": "1"},
            )  # fmt: skip
        self._wait()

    def _wait(self) -> None:
        end = time.monotonic() + _PATIENCE_S
        while time.monotonic() < end and self.process.poll() is None:
            try:
                with urllib.request.urlopen(f"{self.url}/_stcore/health", timeout=5):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        raise AssertionError(f"the server did not start:\n{self._log.read_text()}")

    def kill(self) -> None:
        """Kill the server and its children at once."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        """Kill the server if it still runs."""
        if self.process.poll() is None:
            self.kill()


@contextmanager
def serving(workspace: Path, *arguments: str, port: int | None = None) -> Iterator[Server]:
    """Run a server on a workspace."""
    server = Server(workspace, *arguments, port=port)
    try:
        yield server
    finally:
        server.stop()


def free_port() -> int:
    """Return a port that no process uses."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        return int(free.getsockname()[1])


def chromium() -> str:
    """Return the path of Debian's Chromium. Fails without one, so that browser tests are never skipped silently."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    assert found, "Chromium is not installed. Install it to test the app in a browser: apt-get install chromium"
    return found


@contextmanager
def browsing() -> Iterator[Browser]:
    """Run a headless Chromium."""
    found = chromium()
    with sync_playwright() as player:
        browser = player.chromium.launch(executable_path=found, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


def write_people(store: Store, people: int, wrong: dict[str, dict[str, Any]] | None = None) -> Version:
    """Write version 1 of a manifest `people`: seven drawn shots each, p000 … Person and shot determine each picture.

    `wrong` replaces columns of a person ("p003") or of one shot ("p003/mask1").
    """
    folder, rows = store.workspace / "photos", []
    for person in range(people):
        for place, shot in enumerate(SHOTS):
            name = f"p{person:03d}"
            saved = save_rgb(draw_picture(person * 10 + place), folder, f"{name}/{shot}.png")
            known = sample_id(saved.path, file_sha256(folder / saved.path))
            gender, age = (("male", 25), ("female", 40), ("male", 65))[person % 3]
            row = {
                "sample_id": known, "source_id": known, "root": "photos", "path": saved.path, "sha256": saved.sha256,
                "width_px": 48, "height_px": 64, "person_id": name, "profile_id": name, "shot": shot,
                "mask": SHOT_MASK[shot], "gender": gender, "age": age, "label_source": "ingest", "status": "ok",
                "is_synthetic": False,
            }  # fmt: skip
            changed = wrong or {}
            rows.append(row | changed.get(name, {}) | changed.get(f"{name}/{shot}", {}))
    store.set_root("photos", folder)
    return store.write("people", manifest(rows), "ingest")


# Run before the page: records each key with the person and the picture on the screen when it is pressed.
_WATCH = """
window.pressed = [];
window.review = () => {
  for (const one of document.querySelectorAll('*')) {
    const found = one.shadowRoot?.querySelector('.review');
    if (found) return found;
  }
  return null;
};
window.addEventListener('keydown', (event) => {
  const review = window.review();
  window.pressed.push({
    key: event.key,
    person: review?.querySelector('.person').textContent,
    picture: review?.querySelector('.frame img')?.src,
    waiting: review?.classList.contains('waiting'),
  });
}, true);
"""


class Reviewer:
    """An annotator in a browser, who reads the screen and presses keys."""

    def __init__(self, browser: Browser, server: Server, annotator: str, script: str = "", **address: str) -> None:
        context = browser.new_context(viewport={"width": 1280, "height": 900})
        self.page: Page = context.new_page()
        self.page.set_default_timeout(1000 * _PATIENCE_S)
        self.page.add_init_script(_WATCH + script)
        self.outside: list[str] = []
        self.failures: list[str] = []
        self.page.on("request", self._note)
        self.page.on("pageerror", lambda error: self.failures.append(str(error)))
        query = "&".join(f"{key}={value}" for key, value in ({"by": annotator} | address).items())
        self.page.goto(f"{server.url}/?{query}")

    def _note(self, request: Any) -> None:
        if not request.url.startswith(("http://localhost:", "ws://localhost:", "data:", "blob:")):
            self.outside.append(request.url)

    def wait(self) -> str:
        """Wait until a person is on the screen and return their id, or the text for an empty queue."""
        self.page.wait_for_function(
            "() => window.review() && window.review().querySelector('.person').textContent.length > 1"
            " && !window.review().classList.contains('waiting')"
            " && !window.review().querySelector('.saved').textContent.endsWith('…')"
        )
        return self.person

    @property
    def person(self) -> str:
        """The id on the screen."""
        return self.page.locator(".person").inner_text()

    def text(self, name: str) -> str:
        """Return the text of an element of the component, by class."""
        return self.page.locator(f".review .{name}").first.inner_text()

    def press(self, *keys: str) -> None:
        """Press keys one after the other."""
        for key in keys:
            self.page.keyboard.press(key)

    def save(self, *keys: str) -> str:
        """Press keys, the last of which saves this person, and return the id of the next one."""
        before = self.wait()
        self.press(*keys)
        expect(self.page.locator(".person")).not_to_have_text(before, timeout=1000 * _PATIENCE_S)
        return self.wait()
