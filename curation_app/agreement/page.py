"""The Agreement page: agreement of the annotators, conflicts to adjudicate, and a consensus log."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from curation_app import shell
from curation_app.agreement.conflicts import conflict_list
from curation_app.annotations import AnnotationSet, log_folder, log_path, log_paths, read_annotation_set
from data_manifests.agreement import RULES, Decision, agreement, decide, to_corrections, write_log
from data_manifests.corrections import FIELDS
from data_manifests.taxonomy import AgeCuts
from data_manifests.versions import Store, Version

_RULES = {
    "unanimous": "all annotations agree; a single annotation is enough",
    "majority": "more than half of the annotations agree",
    "adjudicator": "the value of one named person where there is one, else as unanimous",
    "cleanlab": "CROWDLAB weights the annotators by their agreement, together with the scores of the audit",
}
assert tuple(_RULES) == RULES
_MAX_PROBLEMS = 5
_FORMATS = {
    "agreement": st.column_config.NumberColumn(format="%.1f %%"),
    "Fleiss’ κ": st.column_config.NumberColumn(format="%.3f"),
    "Cohen’s κ": st.column_config.NumberColumn(format="%.3f"),
}


def page() -> None:
    """Draw the page."""
    store, version = shell.current_store(), shell.current_store().version(shell.chosen_ref())
    st.header(f"Agreement on {shell.escape_markdown(version.name)}")
    found = read_annotation_set(store, log_paths(store, version), AgeCuts(*version.age_cuts))
    for problem in found.problems[:_MAX_PROBLEMS]:
        st.warning(shell.escape_markdown(problem), icon=":material/rule:")
    if len(found.problems) > _MAX_PROBLEMS:
        st.warning(f"… and {len(found.problems) - _MAX_PROBLEMS} more problems of this kind.")
    if not found.labels:
        st.info(
            "No annotations of this manifest yet. Corrections and confirmations made on the Review and Grid pages are "
            f"kept in {shell.escape_markdown(str(log_folder(store, version)))}, one file per annotator."
        )
        return
    _figures(found)
    if len(found.annotators) < 2:
        st.info(
            "One annotator so far. Agreement needs two who annotate the same people; "
            "set the overlap on the Review page."
        )
    conflict_list(store, version, found)
    with shell.show_errors():
        _consensus(store, version, found)


# -- figures ----------------------------------------------------------------------------------------------------


def _figures(annotations: AnnotationSet) -> None:
    """Draw overlap and kappas, by field and by pair."""
    found = [agreement(annotations.labels, name, annotations.cuts) for name in FIELDS]
    found = [one for one in found if one.labels]
    shared, same = sum(one.shared for one in found), sum(one.same for one in found)
    names = shell.escape_markdown(", ".join(annotations.annotators))
    metrics = (
        ("Annotators", f"{len(annotations.annotators)}", names),
        ("Annotated labels", f"{sum(one.labels for one in found):,}", f"in {annotations.records:,} records"),
        ("By two or more", f"{shared:,}", f"{shared - same:,} conflict{'s' * (shared - same != 1)}"),
        ("Agreement", _share(same, shared), f"{same:,} labels"),
    )
    for column, (name, value, detail) in zip(st.columns(len(metrics)), metrics, strict=True):
        column.metric(name, value, detail, delta_color="off", delta_arrow="off", border=True)
    left, right = st.columns([5, 6])
    rows = [
        {"field": one.field, "labels": one.labels, "by two or more": one.shared,
         "agreement": _percent(one.same, one.shared), "Fleiss’ κ": one.fleiss}
        for one in found
    ]  # fmt: skip
    left.dataframe(rows, hide_index=True, width="stretch", column_config=_FORMATS, placeholder="–")
    pairs = [
        {"field": one.field, "annotator": pair.a, "and": pair.b, "labels of both": pair.shared,
         "agreement": _percent(pair.same, pair.shared), "Cohen’s κ": pair.kappa}
        for one in found
        for pair in one.pairs
        if pair.shared
    ]  # fmt: skip
    if pairs:
        right.dataframe(pairs, hide_index=True, width="stretch", column_config=_FORMATS, placeholder="–")
    st.caption(
        "κ is 1 for complete agreement and 0 for agreement as by chance; it is not defined (–) if all annotations "
        "have the same value. Ages are compared by class. Adjudications are not independent annotations and do not "
        "count."
    )


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "–"


def _percent(part: int, whole: int) -> float | None:
    return 100 * part / whole if whole else None


# -- consensus --------------------------------------------------------------------------------------------------


def _consensus(store: Store, version: Version, annotations: AnnotationSet) -> None:
    st.subheader("Consensus")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        rule = st.segmented_control("Rule", RULES, default="unanimous", required=True) or RULES[0]
        adjudicator = st.selectbox("Adjudicator", annotations.annotators, width=260) if rule == "adjudicator" else ""
    st.caption(f"{rule.capitalize()}: {_RULES[rule]}. A label that the rule does not decide is left out of the log.")
    decisions = _decide(store, annotations, rule, adjudicator or "")
    open_ = [one for one in decisions if not one.value]
    with st.container(horizontal=True, vertical_alignment="center"):
        is_asked = st.button(
            f"Write {len(decisions) - len(open_):,} decided labels", icon=":material/save:", type="primary"
        )
        st.markdown("1 label stays open" if len(open_) == 1 else f"{len(open_):,} labels stay open")
    if is_asked:
        path = consensus_file(store, version, rule, adjudicator or "")
        write_log(path, to_corrections(decisions, rule, adjudicator or ""))
        st.success(
            f"Written to {shell.escape_markdown(str(path))}. Apply it on the Versions page, without the logs that it "
            "was made from: annotators who were outvoted would still be in conflict.",
            icon=":material/check:",
        )
    if open_:
        with st.expander("Open labels"):
            rows = [{"label": one.label.name, "values": one.label.summary(), "reason": one.reason} for one in open_]
            st.dataframe(rows, hide_index=True, width="stretch")


def _decide(store: Store, annotations: AnnotationSet, rule: str, adjudicator: str) -> list[Decision]:
    categories = None
    if rule == "cleanlab":
        from data_manifests.agreement import most_likely  # cleanlab takes seconds to load

        with st.spinner("Weighting annotators …"):
            categories = most_likely(store, annotations.labels, annotations.cuts)
    return decide(annotations.labels, rule, annotations.cuts, adjudicator=adjudicator, most_likely=categories)


def consensus_file(store: Store, version: Version, rule: str, adjudicator: str) -> Path:
    """Return the path of a rule's log, outside the folder of the annotators' logs: `*.csv` must not match both."""
    name = log_path(store, version, adjudicator).stem if adjudicator else ""
    return store.workspace / "consensus" / version.name / f"{rule}{'-' if name else ''}{name}.csv"
