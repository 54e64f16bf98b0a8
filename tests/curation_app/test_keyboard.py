"""The keyboard map: one command per key on each page, and a function for each command in the page's script."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from curation_app.shell.browser import browser_script
from curation_app.shell.keyboard import ACTION_KEYS, LABEL_KEYS, REVIEW, TILES, Binding, keyboard
from data_manifests.taxonomy import GENDERS, MASKS, N_AGE_CLASSES
from tests.support.app_server import ROOT

PAGES = {"review/review.js": REVIEW, "tiles/tiles.js": TILES}
LABELS = [key for keys in LABEL_KEYS.values() for key in keys.values()]


def script(name: str) -> str:
    return browser_script(Path(ROOT / "curation_app" / name))


@pytest.mark.parametrize(("name", "bindings"), PAGES.items(), ids=PAGES)
def test_each_key_has_one_command(name: str, bindings: tuple[Binding, ...]) -> None:
    keys = Counter(key for binding in bindings for key in binding.keys)
    assert [key for key, count in keys.items() if count > 1] == []


def test_keys_of_actions_are_free_on_pages_of_tiles() -> None:
    keys = Counter([*(key for binding in TILES for key in binding.keys), *ACTION_KEYS.values(), *LABELS])
    assert [key for key, count in keys.items() if count > 1] == []


@pytest.mark.parametrize(("name", "bindings"), PAGES.items(), ids=PAGES)
def test_each_command_has_a_function(name: str, bindings: tuple[Binding, ...]) -> None:
    commands = script(name).split("createCommands() {")[1].split("handleKey(event) {")[0]
    defined = set(re.findall(r"^ {6}(\w+): ", commands, re.MULTILINE))
    assert defined == {binding.command for binding in bindings}


def test_each_label_has_a_key() -> None:
    counts = {field: len(keys) for field, keys in LABEL_KEYS.items()}
    assert counts == {"mask": len(MASKS), "gender": len(GENDERS), "age": N_AGE_CLASSES}
    assert set(LABELS) <= {key for binding in REVIEW for key in binding.keys}
    assert json.loads(json.dumps(keyboard(REVIEW))) == keyboard(REVIEW)


@pytest.mark.parametrize("name", PAGES)
def test_a_script_is_sent_as_one_text(name: str) -> None:
    assert "class Keyboard {" in script(name)
    assert not re.search(r"^import ", script(name), re.MULTILINE)
    assert len(re.findall(r"^export ", script(name), re.MULTILINE)) == 1
