"""A quick check for pretrained weights, made before torch is loaded; this module imports no torch.

Without a network connection timm itself retries for 49 seconds before it fails.
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
# backbone → its default weights in timm 1.0, their size in MB and licence, for messages about a missing file
KNOWN = {
    "resnet18": ("resnet18.a1_in1k", 47, "Apache-2.0"),
    "resnet50": ("resnet50.a1_in1k", 103, "Apache-2.0"),
    "efficientnet_b3": ("efficientnet_b3.ra2_in1k", 49, "Apache-2.0"),
}


def require_weights(backbone: str) -> None:
    """Check that weights of a timm backbone can be loaded.

    Raises BackendError if none are cached on this machine and the hub cannot be reached.
    """
    if not cached_files(backbone) and not hub_is_reachable():
        raise BackendError(missing_weights_message(backbone))


def missing_weights_message(backbone: str) -> str:
    """Return the error text for a backbone whose weights cannot be loaded, with the alternatives."""
    return (
        f"pretrained weights of {backbone!r} are not in {constants.HF_HUB_CACHE} and {hub_host()} cannot be reached. "
        "Connect once so that timm downloads them, copy that folder from a machine that has them, "
        "set model.embedding=dlib, a head that needs none, or set model.pretrained=false."
    )


def how_to_get(backbone: str) -> str:
    """Return the file of a backbone's weights with size, licence, release page and place on this machine."""
    if backbone not in KNOWN:
        return f"{FILES[0]} of {backbone} from {constants.ENDPOINT}/timm (its page states size and licence)"
    name, megabytes, licence = KNOWN[backbone]
    folder = Path(constants.HF_HUB_CACHE) / f"models--timm--{name}" / "snapshots" / "main"
    return f"{FILES[0]} ({megabytes} MB, {licence}) from {constants.ENDPOINT}/timm/{name} into {folder}"


def cached_files(backbone: str) -> list[Path]:
    """Return the weight files of a timm model (`name` or `name.tag`) in the hub's cache on this machine."""
    pattern = f"models--timm--{backbone}" + ("" if "." in backbone else ".*")
    folders = Path(constants.HF_HUB_CACHE).glob(f"{pattern}/snapshots/*")
    return sorted(folder / file for folder in folders for file in FILES if (folder / file).is_file())


def hub_host() -> str:
    """Return the host name of the hub."""
    return urlsplit(constants.ENDPOINT).hostname or constants.ENDPOINT


def hub_is_reachable() -> bool:
    """Return whether a connection to the hub, or to the proxy in front of it, opens within PROBE_S.

    The attempt runs in a thread of its own, because a DNS lookup has no time limit.
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
