"""The Overview page: counts, charts and mean images of a version by split, and the button for its dataset report."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

import streamlit as st

from curation_app import shell
from curation_app.overview.drawings import (
    Drawing,
    census_drawings,
    census_of,
    draw,
    drawing_of,
    drawings_in,
    version_drawing,
)
from data_manifests.schema import SPLITS
from data_manifests.taxonomy import AgeCuts
from data_manifests.versions import Store, Version
from reporting.dataset import EVERYTHING, Census, colour_figure, label_tile, mean_grid, mean_title, write_report
from reporting.mean_images import COLUMNS as IMAGE_COLUMNS
from reporting.mean_images import PER_CLASS, ImageStatistics, is_measured, measure_images
from reporting.tables import percent
from reporting.theme import DARK, LIGHT
from reporting.thumbnails import image_url

_MAX_LISTED = 200  # unreadable files


def page() -> None:
    """Draw the page."""
    store, ref = shell.current_store(), shell.chosen_ref()
    version = store.version(ref)
    census = census_of(str(store.workspace), version.ref, version.content_hash)
    st.header(f"Contents of {shell.escape_markdown(version.ref)}")
    split = _choose_split(census)
    is_dark = st.context.theme.type == "dark"
    _draw_counts(census[split])
    drawings = census_drawings(store, version, split, is_dark=is_dark)
    if not drawings:
        st.info(
            "No usable row here: all rows failed or are excluded. "
            f"List the reasons: `facecurate show {version.ref} --status failed`"
        )
        return
    drawings_in(drawings, ["classes"], ["strata", "masks"])
    drawings_in(drawings, ["ages"], ["pyramid"])
    with shell.show_errors():
        _draw_images(store, version, "" if split == EVERYTHING else split, census[split], drawings, is_dark=is_dark)
    if history := version_drawing(store.readable(version.name)[0], is_dark=is_dark):
        draw(history)
    with shell.show_errors():
        _draw_report_buttons(store, version)


def warm(ref: str) -> None:
    """Count rows and draw the charts before the page is opened."""
    store, version = shell.current_store(), shell.load_rows(ref).version
    census_drawings(store, version, EVERYTHING, is_dark=False)
    version_drawing(store.readable(version.name)[0], is_dark=False)


# -- counts -----------------------------------------------------------------------------------------------------


def _choose_split(census: Mapping[str, Census]) -> str:
    if len(census) == 1:
        return EVERYTHING

    def title(name: str) -> str:
        return f"{'All splits' if name == EVERYTHING else name} · {census[name].rows:,}"

    options = [name for name in (EVERYTHING, *SPLITS) if name in census]
    return st.segmented_control("Split", options, default=EVERYTHING, required=True, format_func=title) or EVERYTHING


def _draw_counts(census: Census) -> None:
    left = census.status["failed"] + census.status["excluded"]
    tiles = (
        ("Usable images", f"{census.rows:,}", f"{left:,} rows failed or excluded"),
        ("People", f"{census.people:,}", f"{census.profiles:,} profiles"),
        ("Synthetic images", f"{census.synthetic:,}", f"{percent(census.synthetic, census.rows)} of the usable"),
        label_tile(census),
    )
    for column, (name, value, below) in zip(st.columns(len(tiles)), tiles, strict=True):
        column.metric(name, value, below, delta_color="off", delta_arrow="off", border=True)


# -- images ---------------------------------------------------------------------------------------------------


def _draw_images(
    store: Store, version: Version, split: str, census: Census, drawings: Mapping[str, Drawing], *, is_dark: bool
) -> None:
    """Draw mean images and colours once they are measured; before, a button that starts it."""
    key = f"pictures {version.content_hash} {split}"
    found: ImageStatistics | None = st.session_state.get(key)
    sizes = {"sizes": drawings["sizes"]} if "sizes" in drawings else {}
    if found is None and is_measured(store, version, split):
        found = st.session_state[key] = _measure(store, version, split)
    elif found is None and _draw_measure_button(census):
        st.session_state[key] = _measure(store, version, split)
        st.rerun()  # without the button
    if found is None:
        drawings_in(sizes, ["sizes"])
        return
    if found.unreadable:
        st.warning(
            f"{len(found.unreadable):,} of {found.drawn.sum():,} images could not be read. Put them back; "
            f"`facecurate verify {version.ref}` lists all files that are missing or changed.",
            icon=":material/broken_image:",
        )
        with st.expander("Unreadable files"):
            st.text("\n".join(found.unreadable[:_MAX_LISTED]))
    if not found.read.sum():
        return
    with st.container(border=True):
        st.markdown(f"**{mean_title(found)}**")
        st.html(_mean_images_html(found, AgeCuts(*version.age_cuts)))
        st.caption(found.note())
    colours = drawing_of(colour_figure(found, DARK if is_dark else LIGHT))
    drawings_in({**sizes, "colours": colours}, ["colours"], ["sizes"])


def _draw_measure_button(census: Census) -> bool:
    """Return True once the button is pressed."""
    count = int(census.classes.sum(1).clip(max=PER_CLASS).sum())
    with st.container(border=True):
        st.markdown("**Mean images and colours**")
        group = "class" if census.classes.any() else "label" if census.tasks else "split"
        st.caption(f"Measured on at most {PER_CLASS} images of each {group}, once per version.")
        text = f"{count:,} image{'s' if count != 1 else ''}" if count and not census.unlabelled else "the images"
        return st.button(f"Measure {text}", icon=":material/blur_on:")


def _measure(store: Store, version: Version, split: str) -> ImageStatistics | None:
    bar = st.progress(0.0, "Reading images …")

    def show_progress(done: int, total: int) -> None:
        if done % max(1, total // 100) == 0:
            bar.progress(done / total, f"Reading images … {done:,} of {total:,}")

    table = store.read(version.ref, IMAGE_COLUMNS).table
    found = measure_images(store, version, table, split, on_progress=show_progress)
    bar.empty()
    return found


def _mean_images_html(statistics: ImageStatistics, cuts: AgeCuts) -> str:
    """Return the mean images as HTML: a row for each label of the first task, and the mean of all images."""
    grid = mean_grid(statistics, cuts)
    names = [cell["name"] for cell in grid[0]["cells"]] if grid else []
    parts = ["<span></span>", *(f"<span class='head'>{escape(name).replace(' ', '<br>')}</span>" for name in names)]
    for row in grid:
        parts.append(f"<span class='side'>{escape(row['name'])}</span>")
        for cell in row["cells"]:
            name = escape(f"mean image, {row['name']} {cell['name']}", quote=True)
            image = f"<img src='{cell['image']}' alt='{name}'>" if cell["image"] else "<div class='none'>none</div>"
            parts.append(f"<figure>{image}<figcaption>{cell['count']:,}</figcaption></figure>")
    overall = f"<img src='{image_url(statistics.overall)}' alt='mean image of all images'>"
    weights = ": each class counts by its number of images" if names else ""
    caption = f"<figcaption>All images{weights}</figcaption>"
    whole = f"<figure class='overall'>{overall}{caption}</figure>"
    faces = f"<div class='faces' style='--columns:{len(names)}'>{''.join(parts)}</div>" if names else ""
    return f"{_STYLE}<div class='means'>{faces}{whole}</div>"


_STYLE = """<style>
.means { display: grid; grid-template-columns: minmax(0, max-content) 220px; gap: 28px; font-size: 13px; }
.means .faces { display: grid; gap: 10px;
  grid-template-columns: max-content repeat(var(--columns), minmax(48px, 130px)); }
.means figure { margin: 0; text-align: center; } .means img { width: 100%; display: block; border-radius: 6px; }
.means .head { text-align: center; line-height: 1.3; align-self: end; }
.means .side { align-self: center; padding-right: 6px; }
.means .head, .means .side, .means figcaption { opacity: 0.72; }
.means figcaption { padding-top: 4px; line-height: 1.35; }
.means .none { aspect-ratio: 3 / 4; border: 1px dashed; border-radius: 6px; opacity: 0.3;
  display: grid; place-items: center; }
@media (max-width: 900px) { .means { grid-template-columns: minmax(0, 1fr); } }
</style>"""


# -- the report -------------------------------------------------------------------------------------------------


def _draw_report_buttons(store: Store, version: Version) -> None:
    """Draw a button that writes the report to the workspace, then one that saves it from the browser."""
    file = store.workspace / "reports" / f"{version.name}-{version.number}-{version.content_hash[:8]}.html"
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        st.markdown("**Dataset report**: this page for every split, as one HTML file.")
        if st.button("Write the report" if not file.exists() else "Write it again", icon=":material/draft:"):
            with st.spinner("Writing the report …"):
                write_report(store, version.ref, file)
        if file.exists():
            st.download_button(
                "Save the report",
                file.read_bytes(),
                file.name,
                "text/html",
                icon=":material/download:",
                on_click="ignore",
            )
