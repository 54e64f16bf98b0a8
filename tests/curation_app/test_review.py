"""The Review page in Streamlit's test bench: choosing a queue, sharing the work, signing in, what is wrong is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from curation_app.annotations import log_folder, log_path
from curation_app.images.person_thumbnails import picture_of
from curation_app.review.leases import read_annotators_per_person
from curation_app.review.session import ReviewSession
from data_manifests.versions.store import Store
from tests.support.app_pages import open_page, texts
from tests.support.app_server import ROOT, write_people

FRAME = str(ROOT / "curation_app" / "streamlit_app.py")


def session(bench: AppTest) -> ReviewSession:
    assert not bench.exception, [one.value for one in bench.exception]
    return bench.session_state["review_session"]


def first(bench: AppTest) -> str | None:
    return session(bench).view()["current"]


def open_frame(store: Store, monkeypatch: pytest.MonkeyPatch, **address: str) -> AppTest:
    monkeypatch.setenv("WORKSPACE", str(store.workspace))
    bench = AppTest.from_file(FRAME, default_timeout=60)
    for key, value in address.items():
        bench.query_params[key] = value
    return bench.run()


def test_most_suspect_people_come_first(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    write_people(store, 3, {"p002": {"audit_rank": 1}})
    bench = open_page("review", store, "people@1", monkeypatch, "kim")
    assert first(bench) == "p002"
    assert "audit" not in texts(bench)


def test_without_an_audit_the_order_is_by_id(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    write_people(store, 3)
    bench = open_page("review", store, "people@1", monkeypatch, "kim")
    assert first(bench) == "p000"
    assert "facecurate audit run" in texts(bench)


def test_queue_is_kept_in_the_address(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    write_people(store, 12)
    bench = open_page("review", store, "people@1", monkeypatch, "kim")
    bench.selectbox[0].set_value("id").run()
    bench.text_input[0].set_value("p007").run()
    assert first(bench) == "p007"
    assert (bench.query_params["queue"], bench.query_params["at"]) == ("id", "p007")
    bench.selectbox[0].set_value("class").run()
    bench.selectbox[1].set_value("class:2").run()
    assert first(bench) == "p002"
    bench.selectbox[0].set_value("unseen").run()
    assert first(bench) == "p000"


def test_one_person(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    write_people(store, 3)
    bench = open_page("review", store, "people@1", monkeypatch, "kim")
    bench.selectbox[0].set_value("person").run()
    assert "enter the id" in texts(bench)
    bench.text_input[0].set_value("p9").run()
    assert "has no photo" in texts(bench)
    bench.text_input[0].set_value("p001").run()
    assert first(bench) == "p001"


def test_another_queue_releases_the_people(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    write_people(store, 12)
    bench = open_page("review", store, "people@1", monkeypatch, "kim")
    bench.selectbox[0].set_value("id").run()
    bench.text_input[0].set_value("p008").run()
    other = ReviewSession(session(bench).context, "lee", session(bench).queue.__class__(), 1)
    assert other.view()["current"] == "p000"


def test_annotators_per_person_is_set_for_all_annotators(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    version = write_people(store, 3)
    bench = open_page("review", store, "people@1", monkeypatch, "kim")
    bench.sidebar.selectbox[0].set_value(2).run()
    assert read_annotators_per_person(log_folder(store, version)) == 2
    assert session(bench).annotators_per_person == 2


def test_broken_log_is_reported(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    version = write_people(store, 3)
    path = log_path(store, version, "lee")
    path.parent.mkdir(parents=True)
    path.write_text("no log at all\n")
    (path.parent / "review.json").write_text("{")
    bench = open_page("review", store, "people@1", monkeypatch, "kim")
    assert "is not a correction log" in texts(bench).replace("\\", "")
    assert first(bench) == "p000"


def test_no_manifest(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = open_frame(store, monkeypatch)
    assert "has no manifest" in texts(bench)
    assert "facecurate doctor PHOTOS" in texts(bench)
    assert not bench.error


def test_a_broken_manifest(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    write_people(store, 2)
    file = store.resolve("people@1")
    file.chmod(0o644)
    file.write_bytes(b"PAR1 not a table PAR1")
    bench = open_frame(store, monkeypatch, by="kim")
    assert "cannot be read" in texts(bench).replace("\\", "")
    assert not bench.exception


def test_the_frame_opens_the_review_page(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    write_people(store, 2)
    bench = open_frame(store, monkeypatch, by="kim", manifest="people@1")
    assert (first(bench), session(bench).annotator) == ("p000", "kim")


@pytest.mark.parametrize("name", ["=cmd", "a;b", "(kim)"])
def test_invalid_annotator_name_is_refused(store: Store, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    write_people(store, 2)
    bench = open_frame(store, monkeypatch, by=name)
    assert "a name begins with" in texts(bench)
    assert session(bench).annotator == ""


def test_sign_in_replaces_the_typed_name(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    write_people(store, 2)
    monkeypatch.setenv("WORKSPACE", str(store.workspace))
    bench = AppTest.from_file(FRAME, default_timeout=60)
    bench.secrets["auth"] = {"client_id": "curation-app"}
    bench.query_params["by"] = "an impostor"
    bench.run()
    assert [button.label for button in bench.sidebar.button] == ["Sign in"]
    assert not bench.sidebar.text_input
    assert session(bench).annotator == ""


def test_signed_in_account_is_the_annotator(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    write_people(store, 2)
    monkeypatch.setenv("WORKSPACE", str(store.workspace))
    bench = AppTest.from_file(FRAME, default_timeout=60)
    bench.secrets["auth"] = {"client_id": "curation-app"}
    monkeypatch.setattr(
        "streamlit.user_info._get_user_info", lambda: {"is_logged_in": True, "email": "kim@example.org"}
    )
    bench.run()
    assert session(bench).annotator == "kim@example.org"
    monkeypatch.setattr("streamlit.user_info._get_user_info", lambda: {"is_logged_in": True, "name": "(Kim; Minji)"})
    assert session(bench.run()).annotator == "user Kim Minji"  # what a log can carry
    assert log_path(store, store.version("people"), "kim@example.org").parent == store.workspace / "corrections/people"


def test_pictures_outside_the_root_are_refused(store: Store, tmp_path: Path) -> None:
    write_people(store, 1)
    secret = tmp_path / "secret.png"
    secret.write_bytes((store.workspace / "photos/p000/mask3.png").read_bytes())
    (store.workspace / "photos/p000/link.png").symlink_to(secret)
    for path in ("../../secret.png", str(secret), "p000/link.png"):
        picture = picture_of(store, {"root": "photos", "path": path, "sha256": None, "sample_id": "s"})
        assert "leads out of" in picture.get("problem", ""), path
    assert "image" in picture_of(store, {"root": "photos", "path": "p000/mask3.png", "sha256": None, "sample_id": "s"})
