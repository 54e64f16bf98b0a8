"""What several annotators say about the same labels, and how far they agree.

A **unit** is one label that somebody spoke about: a field of a person (scope `person`) or of one picture. A **word** is
the value that an annotator's latest record gives it; to accept a label is a record too, one whose `new` is its `old`.
What was said about a person counts as a word about each of their pictures that anybody spoke about by itself.

A record whose note begins with `adjudication:` was written by somebody who had read the others' words. It decides
(`consensus.py`), but it is no independent word, so agreement leaves it out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as with_default
from datetime import datetime
from itertools import combinations
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data_manifests.corrections import CHOICES, CLASS_PREFIX, FIELDS
from data_manifests.errors import CorrectionError, ManifestError
from data_manifests.taxonomy import N_AGE_CLASSES, AgeCuts
from data_manifests.versions import Store

ADJUDICATION = "adjudication:"  # how the note of a record begins that settles what others said
SOURCE_COLUMNS = ("sample_id", "source_id", "person_id", "is_synthetic")


@dataclass(frozen=True)
class Word:
    """A value and the record that gives it."""

    value: str
    time: datetime
    record: Mapping[str, Any] = with_default(repr=False)


@dataclass(frozen=True)
class Unit:
    """One label and what was said about it. `words` and `decisions` hold each annotator's latest, by name."""

    field: str
    scope: str
    person_id: str  # may be empty with scope sample
    sample_id: str  # the picture, as named last; may be empty with scope person
    words: Mapping[str, Word]
    decisions: Mapping[str, Word]  # adjudications
    records: tuple[Mapping[str, Any], ...] = with_default(repr=False)  # all of them, in order of time

    @property
    def name(self) -> str:
        """For people: `age of p0007`."""
        return f"{self.field} of {self.person_id if self.scope == 'person' else self.sample_id}"

    def said(self) -> str:
        """`ann: worn; bob: none`, adjudications last."""
        told = [f"{who}: {word.value}" for who, word in self.words.items()]
        return "; ".join(told + [f"{who} adjudicates: {word.value}" for who, word in self.decisions.items()])


@dataclass(frozen=True)
class Pair:
    """Two annotators on the labels of a field that both spoke about. `kappa` is Cohen's (1960), nan if not defined."""

    a: str
    b: str
    shared: int
    same: int
    kappa: float


@dataclass(frozen=True)
class Agreement:
    """How far annotators agree on a field. `shared` units have two words or more, in `same` of them all are alike.

    `fleiss` is the kappa of all annotators over the shared units, nan where it is not defined.
    """

    field: str
    words: Mapping[str, int]  # units that each annotator spoke about
    units: int
    shared: int
    same: int
    fleiss: float
    pairs: tuple[Pair, ...]


# -- units ------------------------------------------------------------------------------------------------------


def find_units(corrections: pa.Table, sources: pa.Table | None = None) -> list[Unit]:
    """Sound records of `read_corrections` → units, in order of field, person and picture.

    `sources` (from `read_sources`) tells which photo a crop was made from and who is on it, so that words about a
    photo and about its crop meet. A synthetic picture has labels of its own and stays by itself.
    """
    sound = corrections.filter(_counts(corrections)).to_pylist()
    times = [datetime.fromisoformat(record["time"]) for record in sound]
    order = sorted(range(len(sound)), key=lambda i: (times[i], sound[i]["file"], sound[i]["line"]))
    place = {i: rank for rank, i in enumerate(order)}
    photo_of, person_of = _origins(sources)
    of_person: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    of_picture: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for i in order:
        record = sound[i]
        if record["scope"] == "person":
            of_person[record["field"], record["person_id"]].append(i)
        else:
            of_picture[record["field"], photo_of.get(record["sample_id"], record["sample_id"])].append(i)

    def unit(scope: str, person: str, own: Sequence[int], wider: Sequence[int] = ()) -> Unit:
        said = [(times[i], sound[i]) for i in sorted([*own, *wider], key=place.__getitem__)]
        words, decisions = _latest(said)
        named = sound[own[-1]]
        return Unit(
            named["field"], scope, person, named["sample_id"], words, decisions, tuple(record for _, record in said)
        )

    units = [unit("person", person, own) for (_, person), own in of_person.items()]
    for (name, photo), own in of_picture.items():
        person = person_of.get(photo) or sound[own[-1]]["person_id"]
        units.append(unit("sample", person, own, of_person.get((name, person), ())))
    return sorted(units, key=lambda unit: (FIELDS.index(unit.field), unit.person_id, unit.scope, unit.sample_id))


def _counts(corrections: pa.Table) -> pa.ChunkedArray:
    """Which records say something about a label: sound ones, and not `unsure`."""
    return pc.and_(pc.equal(corrections["problem"], ""), pc.is_in(corrections["field"], pa.array(FIELDS)))


def _origins(sources: pa.Table | None) -> tuple[dict[str, str], dict[str, str]]:
    """Picture → the photo whose label it shares, and photo → person."""
    if sources is None:
        return {}, {}
    photo_of, person_of = {}, {}
    for row in sources.to_pylist():
        photo = row["sample_id"] if row["is_synthetic"] else row["source_id"]
        photo_of[row["sample_id"]] = photo
        person_of[photo] = row["person_id"]
    return photo_of, person_of


def _latest(said: Sequence[tuple[datetime, Mapping[str, Any]]]) -> tuple[dict[str, Word], dict[str, Word]]:
    """Records in order of time → each annotator's word and adjudication; an empty `new` takes both back."""
    words: dict[str, Word] = {}
    decisions: dict[str, Word] = {}
    for time, record in said:
        who, word = record["annotator"], Word(record["new"], time, record)
        decisions.pop(who, None)
        if not word.value:
            words.pop(who, None)
        elif record["note"].startswith(ADJUDICATION):
            decisions[who] = word
        else:
            words[who] = word
    return dict(sorted(words.items())), dict(sorted(decisions.items()))


def read_sources(store: Store, corrections: pa.Table) -> tuple[pa.Table, AgeCuts | None]:
    """What the versions that the records name know of the named pictures, and the age cuts of these versions.

    Versions that are not in the workspace are passed over; cuts are None if none is. Raises CorrectionError if the
    records were made under different age cuts: their age classes mean different ages.
    """
    found = [pa.table({name: pa.array([], pa.bool_() if name == "is_synthetic" else pa.string())
                       for name in SOURCE_COLUMNS})]  # fmt: skip
    cuts: dict[AgeCuts, str] = {}
    sound = corrections.filter(_counts(corrections))
    for pinned in sound["manifest"].unique().to_pylist():
        ref, _, digits = pinned.partition("#")
        try:
            version = store.version(ref)
        except ManifestError:
            continue
        if not version.content_hash.startswith(digits):
            continue  # another manifest of this name: its ids may mean other pictures
        cuts[AgeCuts(*version.age_cuts)] = ref
        wanted = sound["sample_id"].filter(pc.equal(sound["manifest"], pinned)).combine_chunks()
        rows = store.read(ref, SOURCE_COLUMNS).table
        found.append(rows.filter(pc.is_in(rows["sample_id"], wanted)))
    if len(cuts) > 1:
        told = ", ".join(f"{cut.middle},{cut.old} in {ref}" for cut, ref in cuts.items())
        raise CorrectionError(f"records of versions with one pair of age cuts can be compared. Got {told} instead.")
    return pa.concat_tables(found), next(iter(cuts), None)


# -- agreement --------------------------------------------------------------------------------------------------


def category(what: str, value: str, cuts: AgeCuts) -> str:
    """What counts as the same word: ages within one class do."""
    if what != "age" or value.startswith(CLASS_PREFIX):
        return value
    return f"{CLASS_PREFIX}{(int(value) >= cuts.middle) + (int(value) >= cuts.old)}"


def categories(what: str) -> tuple[str, ...]:
    """All categories of a field."""
    return CHOICES[what] if what != "age" else tuple(f"{CLASS_PREFIX}{k}" for k in range(N_AGE_CLASSES))


def differ(unit: Unit, cuts: AgeCuts) -> bool:
    """Whether annotators' words differ."""
    return len({category(unit.field, word.value, cuts) for word in unit.words.values()}) > 1


def conflicts(units: Sequence[Unit], cuts: AgeCuts) -> list[Unit]:
    """Units on which annotators differ, whether or not somebody adjudicated them."""
    return [unit for unit in units if differ(unit, cuts)]


def word_codes(units: Sequence[Unit], what: str, cuts: AgeCuts) -> tuple[np.ndarray, list[str], list[Unit]]:
    """Words of a field as codes (N, annotators), -1 where nothing was said; the names; the N units with a word."""
    about = [unit for unit in units if unit.field == what and unit.words]
    names = sorted({name for unit in about for name in unit.words})
    codes = np.full((len(about), len(names)), -1)
    kinds = categories(what)
    for row, unit in enumerate(about):
        for name, word in unit.words.items():
            codes[row, names.index(name)] = kinds.index(category(what, word.value, cuts))
    return codes, names, about


def agreement(units: Sequence[Unit], what: str, cuts: AgeCuts) -> Agreement:
    """Overlap and kappas of one field; ages are compared by class."""
    codes, names, about = word_codes(units, what, cuts)
    counts = np.stack([(codes == k).sum(1) for k in range(len(categories(what)))], axis=1)
    shared = counts[counts.sum(1) >= 2]
    return Agreement(
        field=what,
        words={name: int((codes[:, i] >= 0).sum()) for i, name in enumerate(names)},
        units=len(about),
        shared=len(shared),
        same=int((shared.max(1, initial=0) == shared.sum(1)).sum()),
        fleiss=fleiss_kappa(shared),
        pairs=tuple(_pair(names[i], names[j], codes[:, [i, j]]) for i, j in combinations(range(len(names)), 2)),
    )


def _pair(a: str, b: str, codes: np.ndarray) -> Pair:
    both = codes[(codes >= 0).all(1)]
    return Pair(a, b, len(both), int((both[:, 0] == both[:, 1]).sum()), cohen_kappa(both[:, 0], both[:, 1]))


def cohen_kappa(a: np.ndarray, b: np.ndarray) -> float:
    """Cohen's kappa (1960) of two annotators' codes, each (N,). nan where chance alone would agree fully, or N is 0."""
    if not len(a):
        return float("nan")
    kinds = max(a.max(), b.max()) + 1
    chance = (np.bincount(a, minlength=kinds) @ np.bincount(b, minlength=kinds)) / len(a) ** 2
    return float("nan") if chance == 1 else float(((a == b).mean() - chance) / (1 - chance))


def fleiss_kappa(counts: np.ndarray) -> float:
    """Fleiss' kappa (1971) of how many annotators chose each category: counts (N, K), each row 2 or more in all.

    Rows may differ in their number of annotators: the share of agreeing pairs is taken row by row, as published, and a
    category's share is that of all words. nan where chance alone would agree fully, or N is 0.
    """
    if not len(counts):
        return float("nan")
    raters = counts.sum(1)
    if (raters < 2).any():
        raise ValueError("every row must count the words of two annotators or more")
    observed = (((counts**2).sum(1) - raters) / (raters * (raters - 1))).mean()
    chance = ((counts.sum(0) / raters.sum()) ** 2).sum()
    return float("nan") if chance == 1 else float((observed - chance) / (1 - chance))
