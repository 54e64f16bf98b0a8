import os

# Before torch is loaded: idle threads sleep instead of spinning, so that a core wanted elsewhere is given up.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

from data_manifests.cli_tools import run
from train.cli import cli

if __name__ == "__main__":
    run(cli)
