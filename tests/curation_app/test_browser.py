"""The Review page in Chromium: the labels saved are those on the screen, and nothing is lost."""

from __future__ import annotations

import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pyarrow.compute as pc
import pytest
from playwright.sync_api import Browser, expect

from benchmarks._app_server import draw_workspace
from curation_app.review.leases import write_annotators_per_person
from data_manifests.corrections.log import read_corrections
from data_manifests.versions.store import Store
from tests.support.app_server import ROOT, Reviewer, Server, browsing, serving, write_people

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browsing() as browser:
        yield browser


def records(store: Store, annotator: str = "*") -> list[dict[str, Any]]:
    paths = sorted((store.workspace / "corrections").glob(f"*/{annotator}.csv"))
    found = read_corrections(paths).to_pylist()
    assert [record["problem"] for record in found if record["problem"]] == []
    return found


def changes(found: list[dict[str, Any]]) -> list[tuple[str, str, str, str]]:
    return [
        (record["person_id"], record["field"], record["old"], record["new"])
        for record in found
        if record["new"] != record["old"]
    ]


def cli(store: Store, *arguments: str) -> str:
    command = [sys.executable, "-m", "data_manifests", *arguments]
    done = subprocess.run(
        command, cwd=ROOT, env={"WORKSPACE": str(store.workspace), "PATH": ""}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# What is wrong in the manifest, and the keys that put it right.
PLANTED: dict[str, tuple[dict[str, Any], list[str]]] = {
    "p002": ({"gender": "female"}, ["m"]),
    "p005/mask2": ({"mask": "none"}, ["3", "w"]),
    "p009": ({"gender": "female"}, ["m"]),
    "p014/normal": ({"mask": "worn"}, ["1", "n"]),
    "p017": ({"age": 21}, ["a", "6", "5", "Enter"]),
    "p021": ({"age": 70}, ["8"]),
    "p026/incorrect_mask": ({"mask": "worn"}, ["ArrowRight"] * 6 + ["i"]),
}


def test_a_whole_session(browser: Browser, store: Store) -> None:
    """Review 30 people by keyboard with an undo, a power cut and a new server; then apply the log."""
    write_people(store, 30, {name: wrong for name, (wrong, _) in PLANTED.items()})
    keys = {name.split("/")[0]: keys for name, (_, keys) in PLANTED.items()}
    port = None
    with serving(store.workspace) as server:
        port = server.port
        kim = Reviewer(browser, server, "kim")
        assert kim.wait() == "p000"
        for _ in range(4):
            kim.save(*keys.get(kim.wait(), []), "Enter")
        assert kim.wait() == "p004"
        kim.save("f", "Enter")  # a slip: p004 is female already; then a real one
        kim.save("f", "n", "Enter")  # p005: the wrong label
        assert kim.save("u") == "p005"  # taken back, and on the screen again
        for _ in range(10):
            kim.save(*keys.get(kim.wait(), []), "Enter")
        assert kim.wait() == "p015"
        server.kill()
        kim.press("m", "Enter")
        expect(kim.page.locator(".banner")).to_contain_text("not saved", timeout=60_000)
        assert kim.person == "p015"  # nothing pretends to be saved
    assert {record["person_id"] for record in records(store)} == {f"p{i:03d}" for i in range(15)}
    with serving(store.workspace, port=port) as server:
        again = Reviewer(browser, server, "kim")
        assert again.wait() == "p015"  # where this annotator was
        for _ in range(15):
            again.save(*keys.get(again.wait(), []), "Enter")
        assert again.person == "No people are left in this queue."
        assert again.outside + kim.outside == []  # asks nothing of anybody else
        assert again.failures + kim.failures == []
    applied = cli(store, "apply", "people", str(store.workspace / "corrections/people/kim.csv"))
    assert "0 conflict" in applied, applied
    truth = Store(store.workspace / "truth")
    write_people(truth, 30)
    for name in ("mask", "gender", "age_class"):
        assert Store(store.workspace).read("people").table[name].equals(truth.read("people").table[name]), name
    ages = store.read("people").table["age"].to_pylist()
    right = truth.read("people").table["age"].to_pylist()
    assert [i // 7 for i in range(210) if ages[i] != right[i]] == [21] * 7  # set by class: an age drawn from it
    assert "gender" in cli(store, "diff", "people@1", "people@2")


@pytest.mark.parametrize("wait_s", [0, 6])
def test_open_page_continues_with_a_new_server(browser: Browser, store: Store, wait_s: int) -> None:
    """Press a key while there is no server, or when the page is connected to a new one without its session."""
    write_people(store, 4)
    with serving(store.workspace) as server:
        kim = Reviewer(browser, server, "kim")
        assert kim.save("Enter") == "p001"
        server.kill()
        with serving(store.workspace, port=server.port):
            kim.page.wait_for_timeout(1000 * wait_s)
            while kim.person == "p001" and "Repeat it" not in (kim.page.locator(".banner").text_content() or ""):
                if (
                    kim.text("saved") != "saving …"
                ):  # the key may have reached Streamlit's own message about the connection
                    kim.press("m", "Enter")
                kim.page.wait_for_timeout(500)
            if kim.wait() == "p001":  # the page says that nothing was saved, and nothing was
                assert {record["person_id"] for record in records(store)} == {"p000"}
                kim.save("m", "Enter")
            assert changes(records(store)) == [("p001", "gender", "female", "male")]
            assert {record["person_id"] for record in records(store)} == {"p000", "p001"}


def test_fast_keys_refer_to_the_picture_on_the_screen(browser: Browser, store: Store) -> None:
    write_people(store, 90)
    rng = random.Random(1)
    with serving(store.workspace) as server:
        kim = Reviewer(browser, server, "kim")
        kim.wait()
        # Hasty: no look at what is on the screen, and often while a save is on its way.
        taken = "window.pressed.filter(one => !one.waiting).length"
        while kim.person < "p012" or kim.page.evaluate(taken) < 100:
            for _ in range(10):
                kim.press(rng.choice(["m", "f", "w", "i", "3", "5", "8", "0", *["Enter"] * 6]))
                kim.page.wait_for_timeout(rng.choice([0, 0, 0, 10, 40, 160]))
        kim.wait()
        pressed = [one for one in kim.page.evaluate("window.pressed") if not one["waiting"]]
        assert kim.failures == []
    pictures = {(one["person"], one["picture"]) for one in pressed if one["person"].startswith("p")}
    assert len(pictures) == len({who for who, _ in pictures}) == len({picture for _, picture in pictures})
    saved = records(store)
    marks = [record["person_id"] for record in saved if record["field"] == "unsure"]
    assert set(marks) <= {one["person"] for one in pressed if one["key"] == "Enter"}
    said = {
        "m": ("gender", "male"), "f": ("gender", "female"), "8": ("age", "class:0"), "0": ("age", "class:2"),
        "w": ("mask", "worn"), "i": ("mask", "incorrect"),
    }  # fmt: skip
    meant = [(one["person"], *said[one["key"]]) for one in pressed if one["key"] in said and one["person"] in marks]
    for person, field, _, new in changes(saved):
        assert (person, field, new) in meant  # nothing that was not pressed with this person on the screen
    latest = {(record["person_id"], record["field"]): record["new"] for record in saved if record["scope"] == "person"}
    last = {(person, field): new for person, field, new in meant if field != "mask"}
    assert last
    assert {label: latest[label] for label in last} == last  # and all that was


# Holds back what the page waits for before the next picture is painted: its decoding, then two frames of the browser.
_HOLD = """
window.held = [];
window.holding = false;
const decode = HTMLImageElement.prototype.decode, frame = window.requestAnimationFrame;
const hold = () => new Promise((done) => window.held.push(done));
if (WHAT === 'decoding') HTMLImageElement.prototype.decode = function () {
  return window.holding ? hold().then(() => decode.call(this)) : decode.call(this);
};
if (WHAT === 'painting') window.requestAnimationFrame = (run) =>
  window.holding ? window.held.push(run) : frame.call(window, run);
window.release = () => {
  window.holding = false;
  for (const run of window.held.splice(0)) run();
};
"""


@pytest.mark.parametrize("what", ["decoding", "painting"])
def test_key_before_the_next_picture_is_painted_is_ignored(browser: Browser, store: Store, what: str) -> None:
    write_people(store, 3)
    with serving(store.workspace) as server:
        kim = Reviewer(browser, server, "kim", script=f"const WHAT = '{what}';{_HOLD}")
        assert kim.wait() == "p000"
        male = kim.page.get_by_role("button", name="male", exact=False).first.bounding_box()
        assert male
        kim.page.evaluate("window.holding = true")
        kim.press("Enter")
        waiting = "() => window.review().classList.contains('waiting') && window.held.length > 0"
        kim.page.wait_for_function(waiting, polling=50)  # by default it would wait for a frame
        kim.press("m", "x", "Enter", "q")
        kim.page.mouse.click(male["x"] + 5, male["y"] + 5)
        kim.page.wait_for_timeout(300)
        kim.page.evaluate("window.release()")
        assert kim.wait() == "p001"
        assert kim.page.locator(".review .changed.on, .review s").count() == 0
        kim.save("Enter")
    assert changes(records(store)) == []
    assert [record["person_id"] for record in records(store) if record["field"] == "unsure"] == ["p000", "p001"]


def test_closed_tab_loses_nothing_saved(browser: Browser, store: Store) -> None:
    """Close a tab with an unsaved change on the screen: only saved people are in the log."""
    write_people(store, 6)
    people = [f"p{number:03d}" for number in range(6)]
    with serving(store.workspace) as server:
        kim = Reviewer(browser, server, "kim")
        kim.save("f", "Enter")
        assert kim.save("m", "Enter") == "p002"
        kim.press("m")
        kim.page.close()
        again = Reviewer(browser, server, "kim")
        assert again.wait() == "p002"
        assert again.page.locator(".review s").count() == 0
        assert again.save("Enter") == "p003"
        again.press("f", "Enter")
        again.page.close()  # at once: the message was sent or it was not
        third = Reviewer(browser, server, "kim").wait()
        settled = [record["person_id"] for record in records(store) if record["field"] == "unsure"]
        assert (settled, third) in [(people[:3], "p003"), (people[:4], "p004")]
    changed = [("p000", "gender", "male", "female"), ("p001", "gender", "female", "male")]
    if third == "p004":
        changed.append(("p003", "gender", "male", "female"))
    assert changes(records(store)) == changed


def test_two_annotators_share_the_people(browser: Browser, store: Store) -> None:
    write_people(store, 12)
    with serving(store.workspace) as server:
        team = [Reviewer(browser, server, name) for name in ("kim", "lee")]
        while working := [one for one in team if one.wait().startswith("p")]:
            for one in working:
                one.save("Enter")
    seen = {name: {record["person_id"] for record in records(store, name)} for name in ("kim", "lee")}
    assert seen["kim"] & seen["lee"] == set()
    assert len(seen["kim"] | seen["lee"]) == 12
    for name in seen:
        assert {record["annotator"] for record in records(store, name)} == {name}


def test_each_person_is_seen_by_the_number_set(browser: Browser, store: Store) -> None:
    write_people(store, 9)
    write_annotators_per_person(store.workspace / "corrections" / "people", 2)
    with serving(store.workspace) as server:
        team = [Reviewer(browser, server, name) for name in ("kim", "lee", "cho")]
        while working := [one for one in team if one.wait().startswith("p")]:
            for one in working:
                one.save("Enter")
    marks = [record for record in records(store) if record["field"] == "unsure"]
    assert Counter(Counter(record["person_id"] for record in marks).values()) == {2: 9}


def test_manifest_text_is_not_run_as_html(browser: Browser, store: Store) -> None:
    evil = '<img src=x onerror="window.hacked=1"> **bold** (0.90)'
    write_people(store, 1, {"p000": {"audit_reason": evil, "audit_rank": 1, "suggested_gender": "female"}})
    with serving(store.workspace) as server:
        kim = Reviewer(browser, server, "kim")
        kim.wait()
        assert kim.text("reasons") == evil
        kim.press("t")
        kim.page.keyboard.type("=1+1 <b>노트</b>")
        kim.press("Enter", "s")
        kim.save("Enter")
        assert kim.page.evaluate("window.hacked") is None
    saved = records(store)
    assert {record["note"] for record in saved} == {"=1+1 <b>노트</b>"}
    assert changes(saved) == [("p000", "gender", "male", "female")]
    assert b"'=1+1" in next((store.workspace / "corrections").glob("*/kim.csv")).read_bytes()


def test_missing_or_changed_pictures_are_reported_and_not_accepted(browser: Browser, store: Store) -> None:
    write_people(store, 2)
    folder = store.workspace / "photos/p000"
    (folder / "normal.png").unlink()
    (folder / "mask1.png").write_bytes((folder / "mask2.png").read_bytes())
    with serving(store.workspace) as server:
        kim = Reviewer(browser, server, "kim")
        kim.wait()
        problems = kim.page.locator(".problem").all_inner_texts()
        assert len(problems) == 2
        assert "no longer" in problems[0]
        assert "changed" in problems[1]
        kim.save("Enter")
    assert sum(record["field"] == "mask" for record in records(store)) == 5


@pytest.fixture(scope="module")
def million(tmp_path_factory: pytest.TempPathFactory) -> Path:
    workspace = tmp_path_factory.mktemp("million")
    draw_workspace(workspace, 1_000_000, 20, height_px=64)
    return workspace


def test_a_million_rows(browser: Browser, million: Path) -> None:
    store = Store(million)
    rank = store.read("people", ["person_id", "audit_rank"]).table
    first = [rank.filter(pc.equal(rank["audit_rank"], i))["person_id"][0].as_py() for i in range(1, 6)]
    with serving(million) as server:
        kim = Reviewer(browser, server, "kim")
        seen = [kim.wait()]
        while len(seen) < 5:
            seen.append(kim.save("s", "Enter"))
        assert seen == first
        lee = Reviewer(browser, server, "lee", queue="id", at="p0100000")
        assert lee.wait() == "p0100000"
        assert lee.save("Enter") == "p0100001"
        memory = psutil.Process(server.process.pid).memory_info().rss
    found = records(store, "kim")
    assert [record["person_id"] for record in found if record["field"] == "unsure"] == first[:4]
    assert {field for _, field, _, _ in changes(found)} == {"gender"}
    assert memory < 1 << 30


def test_server_listens_to_localhost_only(store: Store) -> None:
    write_people(store, 1)
    with serving(store.workspace) as server:
        listening = {one.laddr.ip for one in _sockets(server)}
    assert listening <= {"127.0.0.1", "::1"}
    assert listening


def _sockets(server: Server) -> list[Any]:
    own = psutil.Process(server.process.pid)
    return [one for one in own.net_connections() if one.status == psutil.CONN_LISTEN]
