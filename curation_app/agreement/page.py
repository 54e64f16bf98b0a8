"""The Agreement page: how far annotators agree, where they differ, who decides, and one log out of theirs."""

from __future__ import annotations

import math
from pathlib import Path

import streamlit as st

from curation_app import shell
from curation_app.agreement.conflicts import conflict_list
from curation_app.annotations import Judged, judged, log
from data_manifests.agreement import RULES, Decision, agreement, decide, to_corrections, write_log
from data_manifests.corrections import FIELDS
from data_manifests.taxonomy import AgeCuts
from data_manifests.versions import Store, Version

_RULES = {
    "unanimous": "all words are alike; one word alone counts",
    "majority": "more than half of the words are alike",
    "adjudicator": "one named person's word where there is one, else as unanimous",
    "cleanlab": "CROWDLAB weighs the annotators by how they agree, together with the scores of the audit",
}
assert tuple(_RULES) == RULES
_NUMBERS = {
    "alike": st.column_config.NumberColumn(format="%.1f %%"),
    "Fleiss’ κ": st.column_config.NumberColumn(format="%.3f"),
    "Cohen’s κ": st.column_config.NumberColumn(format="%.3f"),
}


def page() -> None:
    store, version = shell.current_store(), shell.current_store().version(shell.chosen_ref())
    st.header(f"Agreement on {shell.escape_markdown(version.name)}")
    said = judged(store, log.paths(store, version), AgeCuts(*version.age_cuts))
    for problem in said.problems[:5]:
        st.warning(shell.escape_markdown(problem), icon=":material/rule:")
    if len(said.problems) > 5:
        st.warning(f"… and {len(said.problems) - 5} more lines like these.")
    if not said.units:
        st.info(
            "Nobody has said anything about this manifest yet. What is corrected or accepted on the Review and Grid "
            f"pages is kept in {shell.escape_markdown(str(log.folder(store, version)))}, a file for each annotator."
        )
        return
    _figures(said)
    if len(said.annotators) < 2:
        st.info(
            "One annotator so far: agreement needs two who look at the same people. "
            "The overlap is set on the Review page."
        )
    conflict_list(store, version, said)
    with shell.show_errors():
        _consensus(store, version, said)


# -- figures ----------------------------------------------------------------------------------------------------


def _figures(said: Judged) -> None:
    """Overlap and kappas, by field and by pair."""
    found = [agreement(said.units, name, said.cuts) for name in FIELDS]
    found = [one for one in found if one.units]
    shared, same = sum(one.shared for one in found), sum(one.same for one in found)
    tiles = (
        ("Annotators", f"{len(said.annotators)}", shell.escape_markdown(", ".join(said.annotators))),
        ("Labels judged", f"{sum(one.units for one in found):,}", f"in {said.records:,} records"),
        ("Judged by two or more", f"{shared:,}", f"{shared - same:,} conflicts"),
        ("Alike", _share(same, shared), f"{same:,} labels"),
    )
    for column, (name, value, below) in zip(st.columns(len(tiles)), tiles, strict=True):
        column.metric(name, value, below, delta_color="off", delta_arrow="off", border=True)
    left, right = st.columns([5, 6])
    rows = [
        {"field": one.field, "judged": one.units, "by two or more": one.shared, "alike": _percent(one.same, one.shared),
         "Fleiss’ κ": one.fleiss}
        for one in found
    ]  # fmt: skip
    left.dataframe(rows, hide_index=True, width="stretch", column_config=_NUMBERS)
    pairs = [
        {"field": one.field, "annotator": pair.a, "and": pair.b, "both judged": pair.shared,
         "alike": _percent(pair.same, pair.shared), "Cohen’s κ": pair.kappa}
        for one in found
        for pair in one.pairs
        if pair.shared
    ]  # fmt: skip
    if pairs:
        right.dataframe(pairs, hide_index=True, width="stretch", column_config=_NUMBERS)
    st.caption(
        "κ is 1 where all agree and 0 where they agree no more often than by chance; it is not defined (None) if "
        "everybody said one and the same value. Ages are compared by class. Adjudications are no independent words "
        "and do not count."
    )


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "–"


def _percent(part: int, whole: int) -> float:
    return 100 * part / whole if whole else math.nan


# -- consensus --------------------------------------------------------------------------------------------------


def _consensus(store: Store, version: Version, said: Judged) -> None:
    st.subheader("One log out of all")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        rule = st.segmented_control("Rule", RULES, default="unanimous", required=True) or RULES[0]
        adjudicator = st.selectbox("Adjudicator", said.annotators, width=260) if rule == "adjudicator" else ""
    st.caption(f"{rule.capitalize()}: {_RULES[rule]}. What the rule does not decide stays open and out of the log.")
    decisions = _decide(store, said, rule, adjudicator or "")
    open_ = [one for one in decisions if not one.value]
    with st.container(horizontal=True, vertical_alignment="center"):
        asked = st.button(
            f"Write {len(decisions) - len(open_):,} decided labels", icon=":material/save:", type="primary"
        )
        stay = "1 label stays" if len(open_) == 1 else f"{len(open_):,} labels stay"
        st.markdown(f"{stay if open_ else 'No label stays'} open")
    if asked:
        path = consensus_file(store, version, rule, adjudicator or "")
        write_log(path, to_corrections(decisions, rule, adjudicator or ""))
        st.success(
            f"Written to {shell.escape_markdown(str(path))}. Apply it alone, on the Versions page, without the logs that it "
            "was made from: those who were outvoted would still differ.",
            icon=":material/check:",
        )
    if open_:
        with st.expander("What stays open"):
            rows = [{"label": one.unit.name, "words": one.unit.said(), "why": one.why} for one in open_]
            st.dataframe(rows, hide_index=True, width="stretch")


def _decide(store: Store, said: Judged, rule: str, adjudicator: str) -> list[Decision]:
    likeliest = None
    if rule == "cleanlab":
        from data_manifests.agreement import likeliest as weigh

        with st.spinner("Weighing annotators …"):
            likeliest = weigh(store, said.units, said.cuts)
    return decide(said.units, rule, said.cuts, adjudicator=adjudicator, likeliest=likeliest)


def consensus_file(store: Store, version: Version, rule: str, adjudicator: str) -> Path:
    """Where a rule's log lies: beside the annotators' folder, so that nobody applies both by `*.csv`."""
    named = log.path_of(store, version, adjudicator).stem if adjudicator else ""
    return store.workspace / "consensus" / version.name / f"{rule}{'-' if named else ''}{named}.csv"
