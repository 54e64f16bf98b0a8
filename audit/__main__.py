from audit.cli import cli
from data_manifests.command_line import run

if __name__ == "__main__":
    run(cli)
