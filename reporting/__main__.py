from data_manifests.command_line import run
from reporting.cli import cli

if __name__ == "__main__":
    run(cli)
