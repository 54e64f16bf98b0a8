from audit.cli import cli
from data_manifests.cli_tools import run

if __name__ == "__main__":
    run(cli)
