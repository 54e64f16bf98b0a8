"""`facecurate train …`: train on a manifest, evaluate, explain and compare."""

from train.process_environment import prepare_process

prepare_process()  # before anything imports torch

from data_manifests.command_line import run  # noqa: E402
from train.cli import cli  # noqa: E402

if __name__ == "__main__":
    run(cli)
