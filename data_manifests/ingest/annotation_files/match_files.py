"""Search for the photo that an annotation file means: its addresses are those of another machine or a server."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from urllib.parse import parse_qs, unquote, urlsplit

_UPLOAD = re.compile(r"^[0-9a-f]{8}-(?=.)")  # Label Studio puts eight digits before the name of an uploaded file


class FileMatcher:
    """Photos of a folder by file name, from which the one with the longest common end of its path is taken."""

    def __init__(self, paths: Iterable[str]) -> None:
        self._by_name: dict[str, list[str]] = {}
        for path in paths:
            self._by_name.setdefault(_key(path.rpartition("/")[2]), []).append(path)

    def match(self, address: str, near: str = "") -> tuple[str, str | None]:
        """Return the path of the photo, or the address as a path and the problem.

        address: a path, a URL, or Label Studio's `/data/local-files/?d=…` and `/data/upload/…`; near: the folder of
        the annotation file, which decides between files that match equally well.
        """
        listed = path_of_address(address)
        parts = [_key(part) for part in listed.split("/") if part not in ("", ".")]
        if not parts:
            return "", "path is empty"
        name = parts[-1]
        candidates = self._by_name.get(name) or self._by_name.get(_UPLOAD.sub("", name), [])
        if not candidates:
            return listed.lstrip("/"), f"no photo of the folder matches {address!r}"
        scores = {
            path: (_common_end(path, parts), path.startswith(f"{near}/") if near else False) for path in candidates
        }
        best = max(scores.values())
        matches = [path for path, score in scores.items() if score == best]
        if len(matches) > 1:
            return listed.lstrip("/"), f"{len(matches)} photos match {address!r}: {', '.join(sorted(matches)[:3])}"
        return matches[0], None


def path_of_address(address: str) -> str:
    """Return the path in a URL or a Windows path, POSIX, without quoting."""
    text = address.strip().replace("\\", "/")
    if "://" in text or text.startswith("/data/") or "?d=" in text:
        url = urlsplit(text)
        local = parse_qs(url.query).get("d")
        return local[0].replace("\\", "/") if local else unquote(url.path)
    return text


def _common_end(path: str, parts: list[str]) -> int:
    """Return how many folders before the file name are equal in both paths."""
    own = [_key(part) for part in path.split("/")][:-1]
    count = 0
    for mine, theirs in zip(reversed(own), reversed(parts[:-1]), strict=False):
        if mine != theirs:
            break
        count += 1
    return count


def _key(name: str) -> str:
    """Return a name in one Unicode form, because macOS takes letters such as 한 or é apart."""
    return unicodedata.normalize("NFC", name)
