from data_manifests.cli_tools import run
from preprocess.cli import cli

if __name__ == "__main__":
    run(cli)
