"""Sign-in at an OpenID Connect provider: the account is the annotator, and no name can be typed."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_manifests.versions.store import Store
from tests.support.app_server import Reviewer, browsing, free_port, serving, write_people
from tests.support.oidc_provider import CLIENT, Provider, providing

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def secrets_for(provider: Provider, port: int) -> str:
    return f"""
[auth]
redirect_uri = "http://localhost:{port}/oauth2callback"
cookie_secret = "only for this test"
client_id = "{CLIENT["id"]}"
client_secret = "{CLIENT["secret"]}"
server_metadata_url = "{provider.url}/.well-known/openid-configuration"
"""


def test_signed_in_account_is_the_annotator(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_people(store, 3)
    port, file = free_port(), tmp_path / "secrets.toml"
    monkeypatch.setenv("STREAMLIT_SECRETS_FILES", str(file))
    with providing("kim@example.org") as provider:
        file.write_text(secrets_for(provider, port))
        with serving(store.workspace, port=port) as server, browsing() as browser:
            visitor = Reviewer(browser, server, "lee")  # the address names another annotator
            assert visitor.wait() == "p000"
            visitor.press("m", "Enter")
            assert visitor.person == "p000"
            assert not list((store.workspace / "corrections").glob("*/*.csv"))  # without a sign-in nothing is saved
            visitor.page.get_by_test_id("stExpandSidebarButton").click()
            assert visitor.page.get_by_label("Your name").count() == 0
            visitor.page.get_by_role("button", name="Sign in").click()
            visitor.page.get_by_text("kim@example.org").wait_for()
            assert visitor.wait() == "p000"
            visitor.save("f", "Enter")
            assert provider.tokens == 1
    (log,) = (store.workspace / "corrections").glob("*/*.csv")
    text = log.read_text("utf-8-sig")
    assert text.count("kim@example.org") == len(text.splitlines()) - 1
    assert "lee" not in text
