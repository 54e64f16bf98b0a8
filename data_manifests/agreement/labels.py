"""Labels that annotators annotated, with the latest annotation of each annotator.

A label is a field of a person (scope `person`) or of one picture. Confirming a label is an annotation too: a record
whose `new` is its `old`. An annotation of a person also counts for each of their pictures that has a record of its own.

A record whose note starts with `adjudication:` was written by somebody who had seen the others' annotations. It decides
a label (`consensus.py`), but it is not an independent annotation, so agreement leaves it out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as with_default
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data_manifests.corrections import (
    CHOICES,
    CLASS_PREFIX,
    COLUMNS,
    FIELDS,
    Annotation,
    Correction,
    claims_by_group,
)
from data_manifests.errors import CorrectionError, ManifestError
from data_manifests.taxonomy import N_AGE_CLASSES, AgeCuts, age_class_of
from data_manifests.versions import Store

ADJUDICATION = "adjudication:"  # start of the note of a record that settles what others annotated
SOURCE_COLUMNS = ("sample_id", "source_id", "person_id", "is_synthetic")


@dataclass(frozen=True)
class AnnotatedLabel:
    """One label. `annotations` and `adjudications` hold each annotator's latest, by name."""

    field: str
    scope: str
    person_id: str  # may be empty with scope sample
    sample_id: str  # the picture of the latest record; may be empty with scope person
    annotations: Mapping[str, Annotation]
    adjudications: Mapping[str, Annotation]
    records: tuple[Correction, ...] = with_default(repr=False)  # all of them, in order of time

    @property
    def name(self) -> str:
        """The label for display, such as `age of p0007`."""
        return f"{self.field} of {self.person_id if self.scope == 'person' else self.sample_id}"

    def summary(self) -> str:
        """Return all values as text, such as `ann: worn; bob: none`, adjudications last."""
        values = [f"{name}: {annotation.value}" for name, annotation in self.annotations.items()]
        values += [f"{name} adjudicates: {annotation.value}" for name, annotation in self.adjudications.items()]
        return "; ".join(values)


def annotated_labels(corrections: pa.Table, sources: pa.Table | None = None) -> list[AnnotatedLabel]:
    """Return the labels that the valid records of `read_corrections` annotate, by field, person and picture.

    `sources` (from `read_sources`) gives the photo and the person of each picture, so that annotations of a photo and
    of its crop meet. A synthetic picture has labels of its own.
    """
    rows = corrections.filter(_is_annotation(corrections)).to_pylist()
    records = [Correction(**{name: row[name] for name in COLUMNS}) for row in rows]
    events = [
        Annotation(one.new, one.old, datetime.fromisoformat(one.time), row["file"], row["line"], one.save_key)
        for one, row in zip(records, rows, strict=True)
    ]
    in_order = sorted(range(len(rows)), key=lambda i: events[i].order)
    records, events = [records[i] for i in in_order], [events[i] for i in in_order]
    labels = _group(records, sources)
    annotations, adjudications = _latest(records, events, [members for *_, members in labels])
    found = []
    for number, (scope, person, named, members) in enumerate(labels):
        latest = annotations[number], adjudications[number]
        own = tuple(records[i] for i in members)
        found.append(AnnotatedLabel(named.field, scope, person, named.sample_id, *latest, own))
    return sorted(found, key=lambda one: (FIELDS.index(one.field), one.person_id, one.scope, one.sample_id))


def _is_annotation(corrections: pa.Table) -> pa.ChunkedArray:
    """Return which records are about a label: valid ones that are not `unsure`."""
    return pc.and_(pc.equal(corrections["problem"], ""), pc.is_in(corrections["field"], pa.array(FIELDS)))


def _group(records: Sequence[Correction], sources: pa.Table | None) -> list[tuple[str, str, Correction, list[int]]]:
    """Return scope, person, latest own record and all records (numbers, rising) of each label."""
    photo_of, person_of = _origins(sources)
    of_person: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    of_photo: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for i, record in enumerate(records):
        if record.scope == "person":
            of_person[record.field, record.person_id].append(i)
        else:
            of_photo[record.field, photo_of.get(record.sample_id, record.sample_id)].append(i)
    labels = [("person", person, records[own[-1]], own) for (_, person), own in of_person.items()]
    for (field, photo), own in of_photo.items():
        named = records[own[-1]]
        person = person_of.get(photo) or named.person_id
        labels.append(("sample", person, named, sorted([*own, *of_person.get((field, person), ())])))
    return labels


def _origins(sources: pa.Table | None) -> tuple[dict[str, str], dict[str, str]]:
    """Return the photo whose label each picture shares, and the person of each photo."""
    if sources is None:
        return {}, {}
    photo_of, person_of = {}, {}
    for row in sources.to_pylist():
        photo = row["sample_id"] if row["is_synthetic"] else row["source_id"]
        photo_of[row["sample_id"]] = photo
        person_of[photo] = row["person_id"]
    return photo_of, person_of


_ByName = dict[str, Annotation]


def _latest(
    records: Sequence[Correction], events: Sequence[Annotation], labels: Sequence[Sequence[int]]
) -> tuple[list[_ByName], list[_ByName]]:
    """Return for each label (record numbers, rising) each annotator's annotation and adjudication.

    An empty `new` withdraws both. A later annotation of the same annotator ends an adjudication, but not the reverse.
    """
    names = sorted({record.annotator for record in records})
    number = {name: i for i, name in enumerate(names)}
    label = np.repeat(np.arange(len(labels)), [len(members) for members in labels])
    position = np.fromiter((i for members in labels for i in members), np.int64)
    annotator = np.array([number[record.annotator] for record in records], np.int64)[position]
    is_adjudication = np.array([record.note.startswith(ADJUDICATION) for record in records], bool)[position]
    is_withdrawal = np.array([not event.value for event in events], bool)[position]
    annotations: list[_ByName] = [{} for _ in labels]
    adjudications: list[_ByName] = [{} for _ in labels]
    for found, counted, wanted in (
        (annotations, ~is_adjudication | is_withdrawal, ~is_withdrawal),
        (adjudications, np.ones(len(position), bool), is_adjudication & ~is_withdrawal),
    ):
        at = np.flatnonzero(counted)
        grouped = claims_by_group(label[at], annotator[at], position[at])
        for one in at[grouped.order[grouped.is_latest]].tolist():
            if wanted[one]:
                found[label[one]][names[annotator[one]]] = events[position[one]]
    return annotations, adjudications


def read_sources(store: Store, corrections: pa.Table) -> tuple[pa.Table, AgeCuts | None]:
    """Return `SOURCE_COLUMNS` of the pictures that records name, and the age cuts of the versions that they name.

    Versions that are not in the workspace are skipped; the cuts are None if none is. Raises CorrectionError if the
    records were made under different age cuts: their age classes mean different ages.
    """
    empty = {name: pa.array([], pa.bool_() if name == "is_synthetic" else pa.string()) for name in SOURCE_COLUMNS}
    found = [pa.table(empty)]
    cuts: dict[AgeCuts, str] = {}
    valid = corrections.filter(_is_annotation(corrections))
    for pinned in valid["manifest"].unique().to_pylist():
        ref, _, digits = pinned.partition("#")
        try:
            version = store.version(ref)
        except ManifestError:
            continue
        if not version.content_hash.startswith(digits):
            continue  # another manifest of this name, with other pictures
        cuts[AgeCuts(*version.age_cuts)] = ref
        wanted = valid["sample_id"].filter(pc.equal(valid["manifest"], pinned)).combine_chunks()
        rows = store.read(ref, SOURCE_COLUMNS).table
        found.append(rows.filter(pc.is_in(rows["sample_id"], wanted)))
    if len(cuts) > 1:
        given = ", ".join(f"{cut.middle},{cut.old} in {ref}" for cut, ref in cuts.items())
        raise CorrectionError(f"compared records must come from versions with the same age cuts. Got {given} instead.")
    return pa.concat_tables(found), next(iter(cuts), None)


# -- values -----------------------------------------------------------------------------------------------------


def category(field: str, value: str, cuts: AgeCuts) -> str:
    """Return the category that a value is compared by: the value itself, for an age its class."""
    if field != "age" or value.startswith(CLASS_PREFIX):
        return value
    return f"{CLASS_PREFIX}{age_class_of(int(value), cuts)}"


def categories(field: str) -> tuple[str, ...]:
    """Return all categories of a field."""
    return CHOICES[field] if field != "age" else tuple(f"{CLASS_PREFIX}{k}" for k in range(N_AGE_CLASSES))


def is_conflict(label: AnnotatedLabel, cuts: AgeCuts) -> bool:
    """Return whether annotators gave a label different values."""
    return len({category(label.field, one.value, cuts) for one in label.annotations.values()}) > 1


def conflicts(labels: Iterable[AnnotatedLabel], cuts: AgeCuts) -> list[AnnotatedLabel]:
    """Return the labels to which annotators gave different values, adjudicated or not."""
    return [label for label in labels if is_conflict(label, cuts)]
