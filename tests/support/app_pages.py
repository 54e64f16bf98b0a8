"""Pages of the curation app in Streamlit's own test bench: one page without the menu and the sidebar."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from data_manifests.versions.store import Store

_SCRIPT = """
from curation_app import shell
from curation_app import {name}
with shell.show_errors():
    {name}.page()
"""


def open_page(name: str, store: Store, ref: str, monkeypatch: pytest.MonkeyPatch, annotator: str = "") -> AppTest:
    """Run a page once at a version, as the annotator (empty: read only)."""
    monkeypatch.setenv("WORKSPACE", str(store.workspace))
    bench = AppTest.from_string(_SCRIPT.format(name=name), default_timeout=60)
    if ref:
        bench.session_state["ref"] = ref
    bench.session_state["annotator"] = annotator
    return bench.run()


def texts(bench: AppTest) -> str:
    """Return the texts on the page, errors among them."""
    assert not bench.exception, [one.value for one in bench.exception]
    kinds = (
        "header",
        "subheader",
        "markdown",
        "caption",
        "text",
        "info",
        "warning",
        "error",
        "success",
        "html",
        "code",
    )
    found = []
    for kind in kinds:
        for element in bench.get(kind):
            found.append(str(getattr(element, "value", "") or getattr(element.proto, "body", "")))
    return "\n".join(found)


def press(bench: AppTest, label: str) -> AppTest:
    """Press the first button with this label, or with a label that begins so."""
    [button, *_] = [one for one in bench.button if one.label.startswith(label)]
    return button.click().run()
