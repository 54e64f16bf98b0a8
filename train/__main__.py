import os
import sys

# Before torch is loaded: idle threads sleep instead of spinning, so that a core wanted elsewhere is given up.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

if os.environ.get("RANK", "0") != "0":  # of several processes, the first one speaks; all of them may complain
    os.environ["TQDM_DISABLE"] = "1"
    sys.stdout = open(os.devnull, "w", encoding="utf8")  # noqa: SIM115 (as long as the process)

from data_manifests.command_line import run
from train.cli import cli

if __name__ == "__main__":
    run(cli)
