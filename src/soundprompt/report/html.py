"""The report: one self-contained html file from what the other stages left, and its headline for the terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pandas as pd

from soundprompt import files, provenance, records
from soundprompt import params as p
from soundprompt.data import leaks, ledger
from soundprompt.errors import InputError
from soundprompt.layout import Layout
from soundprompt.params import Params
from soundprompt.report import (
    claims,
    data,
    drawing,
    evidence,
    foundation,
    fragments,
    gallery,
    names,
    origins,
    published,
    tables,
)
from soundprompt.report.verdicts import UNTESTED, Verdict

Result = TypeVar("Result")
LIMIT = 15 * 2**20  # bytes; a report that is larger is no longer something to send to a phone


@dataclass(frozen=True)
class ExperimentSection:
    """One experiment in the report; group: the heading under which it stands."""

    name: str
    title: str
    group: str
    overview: fragments.Sheet | None = None
    sheets: list[fragments.Sheet] = field(default_factory=list)
    plots: list[tuple[str, list[str]]] = field(default_factory=list)
    paper: dict[str, str] | None = None
    missing: list[str] = field(default_factory=list)
    leaks: list[str] = field(default_factory=list)
    clean: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def run(params: Params, layout: Layout) -> None:
    """Writes report.html, claims.csv, headline.txt and data_ledger.csv; what a part lacks is said in its place.

    Raises InputError that names a damaged file.
    """
    _check(params, layout)
    data.write(params, layout)
    found, trouble = _verdicts(params, layout)
    claims.write(found, layout)
    page = render(params, layout, (found, trouble))
    if len(page.encode()) > LIMIT:
        print(f"the report is {len(page.encode()) / 2**20:.0f} MiB, more than intended", file=sys.stderr)
    files.write_text(layout.report, page, recorded=True)
    files.write_text(layout.headline, headline(params, layout, found) + "\n", recorded=True)


def _check(params: Params, layout: Layout) -> None:
    """Raises InputError for the first damaged file of those that the report reads; a note there would be overlooked."""
    results = [path for name in params.experiments for path in (layout.result_table(name), layout.result_plots(name))]
    lists = [ledger.path(layout, dataset) for dataset in params.tables()]
    lists += [path for study in params.studies().values() for path in (leaks.path(study.layout), study.layout.cost)]
    weights = [s.layout.foundation_quality(name) for s in params.studies().values() for name in s.foundations()]
    asked = [*params.everywhere(Params.runs), *params.everywhere(Params.evaluations)]
    runs = [path for run in dict.fromkeys(asked) for path in sorted(layout.run(*run).glob("[!.]*"))]
    floors = {layout.floors(setting) for setting, *_ in asked}
    for path in (*results, leaks.clips_path(layout), *lists, *weights, *sorted(floors), *runs):
        records.check(path)


def _verdicts(params: Params, layout: Layout) -> tuple[list[Verdict], list[str]]:
    """The verdicts, or why there are none."""
    try:
        return claims.run(params, layout), []
    except InputError as error:
        return [], [str(error)]


def render(params: Params, layout: Layout, judged: tuple[list[Verdict], list[str]] | None = None) -> str:
    """The page as text. Never raises InputError: missing artifacts become notes. judged: of `_verdicts`, if made."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("soundprompt.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(signed=fragments.signed, number=fragments.number, short=lambda text: text[:12])
    style = Markup(environment.loader.get_source(environment, "style.css")[0])
    context = _context(params, layout, *(judged or _verdicts(params, layout)))
    return environment.get_template("report.html.j2").render(**context, style=style, inline=_inline)


def headline(params: Params, layout: Layout, found: list[Verdict] | None = None) -> str:
    """A few plain lines for the terminal: where the report is, verdicts and the main numbers."""
    lines = [f"report: {layout.report}"]
    if not layout.report.exists():
        return f"no report yet: {layout.report} is missing\n  run `make report`"
    main = [name for name in params.experiments if name.startswith("table_")]
    for name in main or params.experiments:
        try:
            table = tables.read(layout.result_table(name))
        except InputError:
            continue
        lines += _headline_of(params, name, table)
    found = claims.run(params, layout) if found is None else found
    tested = [verdict for verdict in found if verdict.outcome != UNTESTED]
    lines += [f"{verdict.outcome:>22}: {verdict.claim}" for verdict in tested]
    lines += [f"{'not compared':>22}: {why}" for why in dict.fromkeys(w for v in found for w in v.not_compared)]
    if len(tested) < len(found):
        lines.append(f"{UNTESTED:>22}: {len(found) - len(tested)} of {len(found)} claims")
    return "\n".join(lines)


def _headline_of(params: Params, name: str, table: pd.DataFrame) -> list[str]:
    experiment = params.experiments[name]
    metric, lines = experiment.metrics[0], []
    if experiment.of_validation:  # no result
        return lines
    shown = [m for m in ("gavs", "sam_fusion", "gavs-no_audio") if m in experiment.methods]
    if len(shown) > 1 and "gavs" in shown:
        lines.append(f"{experiment.title} ({names.metric(metric).label})")
        for setting in experiment.settings:
            selection = evidence.primary(params.settings[p.plain(setting)])
            here = table[(table["setting"] == setting) & (table["selection"] == selection) & (table["kind"] == "all")]
            means = here[here["metric"] == metric].set_index("method")
            parts = [f"{names.method(m)} {_with_spread(means.loc[m])}" for m in shown if m in means.index]
            lines.append(f"  {names.setting(setting):<22} {', '.join(parts) or 'not scored'}")
    return lines


def _with_spread(entry: pd.Series) -> str:
    spread = f" ±{fragments.number(entry['sd'])}" if entry["n_seeds"] > 1 else ""
    return fragments.number(entry["mean"]) + spread + _doubted(entry)


def _doubted(entry: pd.Series) -> str:
    """What stands behind the number of a method that is not compared."""
    return "" if pd.isna(entry["remark"]) else " (not converged)"


# ---------------------------------------------------------------------------------- context
def _context(params: Params, layout: Layout, found: list[Verdict], trouble: list[str]) -> dict[str, Any]:
    """Everything the template shows; what could not be read is added to `trouble`."""
    trouble = list(trouble)

    def attempt(make: Callable[[], Result], otherwise: Result) -> Result:
        try:
            return make()
        except InputError as error:
            trouble.append(str(error))
            return otherwise

    records = attempt(lambda: origins.records(params, layout), {})
    leaked = attempt(lambda: leaks.read(layout), pd.DataFrame(columns=list(leaks.COLUMNS)))
    sections = [_section(params, layout, name, leaked) for name in params.experiments]
    missing = list(dict.fromkeys(sentence for section in sections for sentence in section.missing))
    shown = attempt(lambda: gallery.run(params, layout), [])
    return {
        "params": params,
        "seeds": sorted({len(e.seeds or params.seeds) for e in params.experiments.values() if not e.of_validation})
        or [len(params.seeds)],
        "names": names,
        "generated": params.data.source == "generated",
        "verdicts": found,
        "tiles": _tiles(params, layout),
        "sections": sections,
        "groups": _grouped(sections),
        "missing": missing,
        "trouble": trouble,
        "opening": gallery.opening(shown),
        "how_opened": gallery.how_opened(params),
        "gallery": shown,
        "how_chosen": gallery.how_chosen(params),
        "foundations": foundation.run(params),
        "costs": origins.costs(records),
        "kept_starts": origins.kept_starts(records),
        "ledger": attempt(lambda: data.rows(params, layout), []),
        "stages": _stages(params, layout, records),
        "origins": attempt(lambda: origins.origins(params, layout), []),
        "environment": origins.environment(records),
        "code": provenance.code_digest("report"),
        "commit": provenance.commit(),
        "metrics": {m: names.metric(m) for e in params.experiments.values() for m in e.metrics},
    }


def _section(params: Params, layout: Layout, name: str, leaked: pd.DataFrame) -> ExperimentSection:
    view = p.table_view(params, name)
    missing = tables.lacking(view, layout)
    paper = published.about(view.experiment.published) if view.experiment.published in published.names() else None
    try:
        table = tables.read(layout.result_table(name))
    except InputError as error:
        return ExperimentSection(
            name, view.experiment.title, names.group(name), paper=paper, missing=[str(error), *missing]
        )
    sheets = fragments.by_setting(view, table)
    overview, plots = fragments.overview(view, table), _plots(view, layout)
    touched = leaked[leaked["verdict"].isin(("reported", "stops")) & leaked["setting"].isin(view.settings)]
    notes = (leaks.sentences(touched), tables.cleaned(table), tables.remarks(table))
    return ExperimentSection(
        name, view.experiment.title, names.group(name), overview, sheets, plots, paper, missing, *notes
    )


def _grouped(sections: list[ExperimentSection]) -> list[tuple[str, list[ExperimentSection]]]:
    """(heading, its sections), groups in the order of `names.GROUPS`, sections in that of the settings."""
    headings = [*dict.fromkeys((*names.GROUPS.values(), names.OTHER_GROUP))]
    found = {heading: [c for c in sections if c.group == heading] for heading in headings}
    return [(heading, members) for heading, members in found.items() if members]


PLOTS = {
    "curve": "Curves",
    "dots": "Side by side",
    "shots": "Few shots",
    "cost": "Score against cost",
    "bars": "Scores with 95 % intervals",
    "sources": "By number of sounding objects",
    "classes": "By class",
    "training": "Training",
}


def _plots(view: p.TableView, layout: Layout) -> list[tuple[str, list[str]]]:
    """(heading, inline svgs) for each family of plots, in the order of the experiment's settings."""
    declared = [*view.settings, *(curve.name for curve in view.experiment.curves)]
    place = {name: i for i, name in enumerate([*declared, *(dots.name for dots in view.experiment.dots)])}
    found = []
    for family, heading in PLOTS.items():
        records.check(layout.result_plots(view.name))
        paths = layout.result_plots(view.name).glob(f"{family}-*.svg")
        paths = sorted(paths, key=lambda path: (place.get(path.stem.split("-")[1], 0), path.stem))
        svgs = [drawing.inline(path.read_text(), f"{view.name}-{path.stem}") for path in paths]
        if svgs:
            found.append((heading, svgs))
    return found


def _inline(svg: str) -> Any:
    from markupsafe import Markup

    return Markup(svg)


def _tiles(params: Params, layout: Layout) -> list[tuple[str, str, str]]:
    """(label, number, remark) of the few numbers that stand on top."""
    tiles = []
    wanted = [("v1s", "all"), ("v1m", "all"), ("v3_0shot", "new combination"), ("v3_0shot", "new level")]
    for setting, kind in wanted:
        for name, experiment in params.experiments.items():
            if setting not in experiment.settings or "gavs" not in experiment.methods:
                continue
            try:
                table = tables.read(layout.result_table(name))
            except InputError:
                continue
            row = table[
                (table["setting"] == setting)
                & (table["selection"] == evidence.primary(params.settings[setting]))
                & (table["kind"] == kind)
                & (table["metric"] == experiment.metrics[0])
            ].set_index("method")
            if "gavs" in row.index:
                label = names.setting(setting) + ("" if kind == "all" else f": {names.kind(kind)}")
                beside = row.loc[[m for m in _BESIDE if m in row.index]]
                others = [f"{names.method(m)} {fragments.number(e['mean'])}{_doubted(e)}" for m, e in beside.iterrows()]
                tiles.append((label, _with_spread(row.loc["gavs"]), ", ".join(others)))
                break
    return tiles


_BESIDE = ("sam_fusion", "gavs-no_audio")


def _stages(params: Params, layout: Layout, records: dict) -> list[tuple[str, str, str]]:
    """(stage, what it does, what is there) in the order of the workflow."""
    shards = sum(layout.visual_shard(i).exists() for i in range(params.features.shards))
    runs, scored = params.everywhere(Params.runs), params.everywhere(Params.evaluations)
    frozen = foundation.made(params)
    done = sum((layout.run(*run) / "scores.parquet").exists() for run in scored)
    made = [layout.table(dataset).exists() for dataset in params.tables()]
    source = "draw the clips of the world" if params.data.source == "generated" else "fetch and unpack"
    models = sum(study.layout.foundation_quality(name).exists() for study, name in frozen)
    written = sum(layout.result_table(name).exists() for name in params.experiments)
    return [
        ("data", source, params.data.source),
        ("frame tables", "one row per frame and split", f"{sum(made)} of {len(made)}"),
        ("foundation", "the frozen image and sound models", f"{models} of {len(frozen)}"),
        ("features", "frozen encoders run once per frame and second", f"{shards} of {params.features.shards} shards"),
        ("train", "prompts and adapters, best on validation kept", f"{len(records)} of {len(runs)} runs"),
        ("score", "one row per frame and metric", f"{done} of {len(scored)} runs"),
        ("tables, plots", "from scores alone", f"{written} of {len(params.experiments)} experiments"),
        ("report", "this page", ""),
    ]
