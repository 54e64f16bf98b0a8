"""The problems of the page, as groups of cards with pictures."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from data_manifests.splits import Leak
from facecurate.doctor.findings import Findings
from facecurate.doctor.pictures import Pictures
from facecurate.doctor.suspects import Suspect, Suspicions
from facecurate.doctor.wording import count_noun

MAX_SUSPECTS, MAX_PAIRS, MAX_LEAKS, MAX_POOR = 24, 12, 8, 12  # cards; the app shows all
_PHOTOS_OF_PERSON = 3  # of a person whose label is suspected
_LABELS = {"identity": "another person?"}


def list_groups(found: Findings, pictures: Pictures) -> list[dict[str, Any]]:
    """Return the groups that have a card: key, title, note, cards, the number left out, and whether the app has it."""
    groups = [_leaks(found, pictures)]
    if found.suspicions:
        groups = [_suspects(found.suspicions, pictures), *_faces(found.suspicions, pictures), *groups]
        groups.insert(1, _duplicates(found.suspicions, pictures))
    return [group for group in groups if group["cards"]]


def _group(
    key: str, title: str, note: str, cards: Sequence[dict[str, Any]], total: int, in_app: bool = True
) -> dict[str, Any]:
    more = total - len(cards)
    return {"key": key, "title": title, "note": note, "cards": cards, "more": more, "in_app": in_app}


def _suspects(suspicions: Suspicions, pictures: Pictures) -> dict[str, Any]:
    cards = [_suspect_card(one, pictures) for one in suspicions.labels[:MAX_SUSPECTS]]
    title = f"{count_noun(len(suspicions.labels), 'label')} {_are(len(suspicions.labels))} probably wrong"
    note = "Each is more likely wrong than correct. The people whose review finds most errors come first."
    return _group("suspects", title, note, cards, len(suspicions.labels))


def _suspect_card(one: Suspect, pictures: Pictures) -> dict[str, Any]:
    is_identity = one.kind == "identity"
    others = pictures.others_of_person(one.samples[0])[:1] if is_identity else ()  # to compare with
    change = () if is_identity or not one.predicted or " " in one.given else (one.given, one.predicted)
    return {
        "photos": pictures.urls((*one.samples, *others), _PHOTOS_OF_PERSON),
        "title": _LABELS.get(one.kind, one.title),
        "percent": f"{min(99, int(100 * one.probability))} %",
        "change": change,
        "text": one.person if change else f"{one.reason} · {one.person}",
    }


def _duplicates(suspicions: Suspicions, pictures: Pictures) -> dict[str, Any]:
    cards = [_photo_card(pictures.urls(one.samples, 2), one.reason) for one in suspicions.duplicates[:MAX_PAIRS]]
    total = len(suspicions.duplicates)
    return _group("duplicates", f"{count_noun(total, 'picture')} {_are(total)} there more than once", "", cards, total)


def _leaks(found: Findings, pictures: Pictures) -> dict[str, Any]:
    cards = [_leak_card(leak, pictures) for leak in found.leaks[:MAX_LEAKS]]
    total = len(found.leaks)
    title = f"{count_noun(total, 'leak')} across the split"
    note = "A model that is tested on people or pictures it was trained on looks better than it is."
    return _group("leaks", title, note, cards, total, in_app=False)


def _leak_card(leak: Leak, pictures: Pictures) -> dict[str, Any]:
    return _photo_card(pictures.urls(leak.samples, 2), leak.name, f"{leak.kind} in {' and '.join(leak.parts)}")


def _faces(suspicions: Suspicions, pictures: Pictures) -> list[dict[str, Any]]:
    poor = [_photo_card(pictures.urls(one.samples, 1), one.reason) for one in suspicions.quality[:MAX_POOR]]
    n_poor = len(suspicions.quality)
    groups = [_group("quality", f"{count_noun(n_poor, 'finding')} of poor quality", "", poor, n_poor)]
    for key, samples, title, note in (
        (
            "no-face",
            suspicions.no_face,
            "without a face that was found",
            "Preprocessing cuts a square around their centre instead.",
        ),
        ("several-faces", suspicions.several_faces, "with several faces", "The largest face near the centre is taken."),
    ):
        cards = [_photo_card([photo], _breakable(photo[0])) for photo in pictures.urls(samples, MAX_POOR)]
        groups.append(_group(key, f"{count_noun(len(samples), 'photo')} {title}", note, cards, len(samples)))
    return groups


def _photo_card(photos: Sequence[tuple[str, str]], text: str, title: str = "") -> dict[str, Any]:
    return {"photos": photos, "title": title, "percent": "", "change": (), "text": text}


def _breakable(path: str) -> str:
    """Return a path that may be broken between its parts."""
    return re.sub(r"([/_-])", "\\1\u200b", path)


def _are(count: int) -> str:
    return "is" if count == 1 else "are"
