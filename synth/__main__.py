from data_manifests.cli_tools import run
from synth.cli import cli

if __name__ == "__main__":
    run(cli)
