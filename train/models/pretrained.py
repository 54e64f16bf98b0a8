"""Whether pretrained weights can be had, told in a second. No torch here: the answer comes before it is loaded.

timm alone, without a network, tries again for 49 seconds before it says so.
"""

from __future__ import annotations

import socket
import threading
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

from huggingface_hub import constants

from data_manifests.errors import BackendError

PROBE_S = 0.8
FILES = ("model.safetensors", "pytorch_model.bin")


def require_weights(backbone: str) -> None:
    """Raise BackendError if no weights of `backbone` are kept here and the hub cannot be reached."""
    if not cached_files(backbone) and not hub_is_reachable():
        raise BackendError(no_weights(backbone))


def no_weights(backbone: str) -> str:
    """What to do without them."""
    return (
        f"pretrained weights of {backbone!r} are not in {constants.HF_HUB_CACHE} and {hub_host()} cannot be reached. "
        "Connect once so that timm fetches them, copy that folder from a machine that has them, "
        "take --config configs/train/embedding.yaml, which needs none, or set model.pretrained=false."
    )


def cached_files(backbone: str) -> list[Path]:
    """Weight files of a timm model (`name` or `name.tag`) in the hub's cache on this machine."""
    pattern = f"models--timm--{backbone}" + ("" if "." in backbone else ".*")
    folders = Path(constants.HF_HUB_CACHE).glob(f"{pattern}/snapshots/*")
    return sorted(folder / file for folder in folders for file in FILES if (folder / file).is_file())


def hub_host() -> str:
    return urlsplit(constants.ENDPOINT).hostname or constants.ENDPOINT


def hub_is_reachable() -> bool:
    """Whether a connection to the hub (or to the proxy that leads there) opens within PROBE_S.

    In a thread of its own, because looking up a name has no time limit.
    """
    if constants.HF_HUB_OFFLINE:
        return False
    answer: list[bool] = []
    thread = threading.Thread(target=lambda: answer.append(_connects(*_first_hop())), daemon=True)
    thread.start()
    thread.join(PROBE_S)
    return bool(answer and answer[0])


def _first_hop() -> tuple[str, int]:
    url = urlsplit(constants.ENDPOINT)
    proxy = urllib.request.getproxies().get(url.scheme)
    if proxy and not urllib.request.proxy_bypass(url.hostname or ""):
        url = urlsplit(proxy if "//" in proxy else f"http://{proxy}")
    return url.hostname or "", url.port or (443 if url.scheme == "https" else 80)


def _connects(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=PROBE_S):
            return True
    except OSError:
        return False
