"""`facecurate settings`: check a list of settings for several stages, and print those that one stage has.

`make preprocess synth train SET='…'` gives one list to several commands, each of which refuses settings that it does
not have.
"""

from __future__ import annotations

from collections.abc import Sequence

import click

from data_manifests.command_line import parse_settings
from data_manifests.errors import ConfigError, must_be_one_of
from facecurate.lazy_group import resolve
from pipeline.settings import Settings, load_settings

STAGES = {
    "audit": "audit.settings:AuditSettings",
    "preprocess": "preprocess.settings:PreprocessSettings",
    "synth": "synth.settings:SynthSettings",
    "train": "train.settings:TrainSettings",
}


@click.command()
@click.argument("stages", nargs=-1, required=True, metavar="STAGE… [key=value …]")
@click.option("--only", help="Print the settings of this stage alone.")
def settings(stages: tuple[str, ...], only: str | None) -> None:
    """Check settings for one or more of audit, preprocess, synth and train, and print them in one line.

    A setting belongs to every stage that has its section: `background.backend=none` to preprocess, `seed=3` to synth
    and train. One that no stage has is an error.
    """
    names = [word for word in stages if "=" not in word]
    words = [word for word in stages if "=" in word]
    chosen = words_of_stages(names, words)
    click.echo(" ".join(words if only is None else chosen.get(only, ())))


def words_of_stages(names: Sequence[str], words: Sequence[str]) -> dict[str, list[str]]:
    """Return for each stage those of the words `key=value` whose section it has, after checking their values.

    Raises ConfigError for an unknown stage, a section that no stage has, and a value that is not allowed.
    """
    for name in names:
        if name not in STAGES:
            raise ConfigError(must_be_one_of("stage", STAGES, name))
    models: dict[str, type[Settings]] = {name: resolve(STAGES[name]) for name in names}
    chosen: dict[str, list[str]] = {name: [] for name in names}
    for word in words:
        section = word.split("=", 1)[0].split(".")[0]
        having = [name for name, model in models.items() if section in model.model_fields]
        if not having:
            allowed = dict.fromkeys(field for model in models.values() for field in model.model_fields)
            raise ConfigError(must_be_one_of(f"a setting of {', '.join(names)}", allowed, section))
        for name in having:
            chosen[name].append(word)
    for name, model in models.items():
        load_settings(model, None, parse_settings(tuple(chosen[name])))
    return chosen
