"""The command line: one verb per stage.

By hand a verb reads `params.yaml`, `experiments/` and the overlay named by `--study`; the workflow has written these,
merged, into one file, and names it by `--settings`. Either way a verb goes on with the part of the settings that its
stage may read (`params.READS`). Heavy imports happen inside the verbs, so that `--help` is quick.
"""

from __future__ import annotations

import gc
import importlib
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from soundprompt import environment, records, turns
from soundprompt import params as p
from soundprompt.errors import InputError
from soundprompt.layout import pack_seeds

app = typer.Typer(
    help="GAVS as a reproducible pipeline: segment what makes the sound. Stages, in order: "
    "world or fetch, tables, leaks, pretrain, features, train, score, examine, cost, table, report.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

Study = Annotated[
    str, typer.Option(help="Study: mini, a name in studies/, or the path of an overlay; full.points for a substudy.")
]
File = Annotated[
    Path | None, typer.Option("--settings", help="A study's settings as the workflow writes them; else params.yaml.")
]
SettingName = Annotated[str, typer.Option(help="A setting of the study, such as v1s.")]
ModelName = Annotated[str, typer.Option(help="A model of the study, such as gavs.")]
Workers = Annotated[
    int, typer.Option(min=0, help="Processes that read ahead what is not in memory; they change no result.")
]
Seeds = Annotated[str, typer.Option(help="Seeds to run in this process: '0' or '0-1-2'.")]


def main() -> None:
    """Entry point: InputErrors become one readable message and exit status 1; who is told to end tidies up first."""
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(variable, "1")  # two busy threads on one core are ten times slower than one
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:  # under nohup the second is ignored, and stays so
            signal.signal(number, _end)
    try:
        if os.environ.get("SOUNDPROMPT_CHECK"):  # set for jobs of a cluster
            environment.check()
        turns.join()
        app()
    except InputError as error:
        print(f"soundprompt: error: {error}", file=sys.stderr)
        sys.exit(1)


def _end(number: int, _frame: object) -> None:
    """Leaves as after Ctrl-C: unfinished outputs are removed on the way, and no second signal disturbs that."""
    signal.signal(number, signal.SIG_IGN)
    sys.exit(128 + number)


@contextmanager
def _no_collection() -> Iterator[None]:
    """For heavy imports: all that they make stays, and the garbage collector would look through it again and again."""
    gc.disable()
    yield
    gc.freeze()
    gc.enable()


@app.command()
def settings(study: Study = "mini") -> None:
    """Check the settings of a study and print what it will run."""
    params = _params(study)
    runs, scored = params.runs(), params.evaluations()
    print(f"study {params.study}: settings are valid")
    print(f"{len(params.experiments)} experiments: {', '.join(params.experiments)}")
    print(f"{len(runs)} models to train, {len(scored)} to score, seeds {', '.join(map(str, params.seeds))}")


@app.command()
def check() -> None:
    """Check that packages, folder and GPU of this machine are what the project needs."""
    environment.check()
    print("this machine can run soundprompt")


@app.command()
def world(
    part: Annotated[str, typer.Option(help="v1s, v1m, v2, vggss, scenes, or index (which joins them).")],
    study: Study = "mini",
    file: File = None,
) -> None:
    """Generate a part of the mini audio-visual world."""
    chosen = p.world_view(_params(study, file))

    from soundprompt.data.world import datasets

    datasets.make_part(part, chosen, chosen.layout)


@app.command()
def fetch(
    only: Annotated[
        str | None, typer.Option(help="weights, avsbench, avs_v3, vggss, vggss_clips, or a name of data/catalog.yaml.")
    ] = None,
    mirror: Annotated[list[str] | None, typer.Option(help="URL or folder to try first; may be repeated.")] = None,
    cookies: Annotated[str | None, typer.Option(help="cookies.txt for yt-dlp.")] = None,
    study: Study = "mini",
    file: File = None,
) -> None:
    """Fetch released weights and datasets; say how to get what is given out on application."""
    chosen = p.fetch_view(_params(study, file, fetching=True))
    data = chosen.data.model_dump() | {"mirrors": [*(mirror or []), *chosen.data.mirrors]}
    data["youtube"]["cookies"] = cookies or chosen.data.youtube.cookies

    from soundprompt.data import acquire

    acquire.run(only, chosen.model_copy(update={"data": p.Data.model_validate(data)}), chosen.layout)


@app.command()
def tables(
    dataset: Annotated[str, typer.Option(help="v1s, v1m, v2, v3, vggss or scenes.")],
    study: Study = "mini",
    file: File = None,
) -> None:
    """Read a dataset into its frame table."""
    chosen = p.tables_view(_params(study, file), dataset)

    from soundprompt.data.tables import make_table

    make_table(chosen, chosen.layout)


@app.command()
def leaks(
    study: Study = "mini",
    across: Annotated[
        tuple[Path, Path] | None, typer.Option(help="Compare the folders of two datasets with each other instead.")
    ] = None,
    out: Annotated[Path, typer.Option(help="The list to write, with --across.")] = Path("shared.csv"),
    file: File = None,
) -> None:
    """Check that what is tested is new to what was trained; a leak stops all tables."""
    if across is not None:
        _compare(*across, out)
        return
    chosen = p.leaks_view(_params(study, file))

    from soundprompt.data import leaks as check

    check.run(chosen, chosen.layout)


def _compare(one: Path, other: Path, out: Path) -> None:
    # Apart from the verb, whose results in a study do not depend on this.
    from soundprompt.data import across

    across.run(one, other, out)


@app.command()
def pretrain(
    model: Annotated[str, typer.Option(help="sam, audio or pyramid.")], study: Study = "mini", file: File = None
) -> None:
    """Make a foundation model: pre-train the mini one, or import released weights."""
    from soundprompt.foundation import released

    chosen = p.pretrain_view(_params(study, file), _foundation(model))
    layout = chosen.layout

    if chosen.model.source == "train":
        importlib.import_module(f"soundprompt.foundation.pretrain_{model}").run(chosen, layout)
    elif chosen.model.is_own:
        released.run(model, chosen, layout)
    else:
        importlib.import_module(f"soundprompt.foundation.{model}").import_checkpoint(chosen.model, layout)


@app.command()
def release(model: Annotated[str, typer.Option(help="sam, audio or pyramid.")], study: Study = "release") -> None:
    """Put a foundation model that a study trained among those that the project comes with."""
    from soundprompt.foundation import released

    view = p.pretrain_view(_params(study), _foundation(model))
    print(released.pack(model, view, view.layout), file=sys.stderr)


@app.command()
def features(
    step: Annotated[str, typer.Option(help="plan, shard, index, audio, or all of them in this order.")] = "all",
    shard: Annotated[int, typer.Option(help="Which shard, with --step shard.")] = 0,
    study: Study = "mini",
    file: File = None,
) -> None:
    """Run the frozen encoders once over every picture and every second of sound."""
    chosen = p.features_view(_params(study, file))

    with _no_collection():
        from soundprompt.features import extract, plan

    layout = chosen.layout
    if step not in ("plan", "shard", "index", "audio", "all"):
        raise InputError(f"--step: '{step}' is not one of plan, shard, index, audio, all")
    if step in ("plan", "all"):
        plan.run(chosen, layout)
    for index in range(chosen.features.shards) if step == "all" else [shard] if step == "shard" else []:
        extract.run_shard(index, chosen, layout)
    if step in ("index", "all"):
        plan.index(chosen, layout)
    if step in ("audio", "all"):
        extract.run_audio(chosen, layout)


@app.command()
def train(
    setting: SettingName = "",
    model: ModelName = "",
    seeds: Seeds = "0",
    processes: Annotated[int, typer.Option(min=1, help="That share the work on a run, with a GPU each.")] = 1,
    workers: Workers = 0,
    study: Study = "mini",
    file: File = None,
) -> None:
    """Train a model on a setting, one run per seed; finished runs are kept, killed ones resumed."""
    params = _params(study, file)
    chosen = p.train_view(params, *_known(params, setting, model))

    with _no_collection():
        from soundprompt.training.run import train_pack

    train_pack(chosen, pack_seeds(seeds), chosen.layout, processes, workers)


@app.command()
def score(
    setting: SettingName = "",
    model: ModelName = "",
    seeds: Seeds = "0",
    workers: Workers = 0,
    study: Study = "mini",
    file: File = None,
) -> None:
    """Score trained runs on the test selections of a setting."""
    params = _params(study, file)
    chosen = p.score_view(params, *_known(params, setting, model))

    with _no_collection():
        from soundprompt.evaluation.run import score_pack

    score_pack(chosen, pack_seeds(seeds), chosen.layout, workers)


@app.command()
def evaluate(setting: SettingName, model: ModelName, seeds: Seeds = "0", study: Study = "mini") -> None:
    """Score trained runs, as `score` does, and print what they reach beside the methods without training."""
    params = _params(study)
    _known(params, setting, model)
    chosen, layout = pack_seeds(seeds), params.layout

    from soundprompt.evaluation import floors as unlearned
    from soundprompt.evaluation import run, summary

    run.score_pack(p.score_view(params, setting, model), chosen, layout)
    unlearned.score(p.floors_view(params, setting), layout)
    print(summary.overview([layout.run(setting, model, seed) / run.SCORES for seed in chosen], layout.floors(setting)))


@app.command()
def examine(
    setting: SettingName = "",
    model: ModelName = "",
    seeds: Seeds = "0",
    workers: Workers = 0,
    study: Study = "mini",
    file: File = None,
) -> None:
    """Measure in trained runs what masks do not show: how sound and cue align, what SAM's decoder still knows."""
    params = _params(study, file)
    chosen = p.examine_view(params, *_known(params, setting, model))

    with _no_collection():
        from soundprompt.evaluation.examine import examine_pack

    examine_pack(chosen, pack_seeds(seeds), chosen.layout, workers)


@app.command()
def floors(setting: SettingName = "", study: Study = "mini", file: File = None) -> None:
    """Score the methods that need no training on a setting."""
    params = _params(study, file)
    chosen = p.floors_view(params, *_known(params, setting))

    from soundprompt.evaluation import floors as unlearned

    unlearned.score(chosen, chosen.layout)


@app.command()
def cost(
    plan: Annotated[
        bool, typer.Option("--plan", help="Print how long the study takes instead, before it runs.")
    ] = False,
    gpu: Annotated[
        str | None, typer.Option(help="With --plan: by the figures of this GPU, such as h200; else measured here.")
    ] = None,
    study: Study = "mini",
    file: File = None,
) -> None:
    """Measure what a frame costs with each model that an experiment asks this of."""
    if plan or gpu:
        _plan(_params(study, file), gpu)
        return
    chosen = p.cost_view(_params(study, file))

    from soundprompt.evaluation import cost as measuring

    measuring.run(chosen, chosen.layout)


def _plan(params: p.Params, gpu: str | None) -> None:
    # Apart from the verb, whose results in a study do not depend on this.
    from soundprompt.planning import figures, hours

    if gpu:
        known = figures.named(gpu)
    else:
        from soundprompt.planning import measure

        known = measure.of_study(params)
    print(hours.table(hours.plan(params, known)))


@app.command()
def table(
    experiment: Annotated[str, typer.Option(help="An experiment of the study.")] = "",
    study: Study = "mini",
    file: File = None,
) -> None:
    """Make an experiment's table and plots from its scores."""
    params = _params(study, file)
    chosen = p.table_view(params, _experiment(params, experiment))

    from soundprompt.report import plots
    from soundprompt.report import tables as result_tables

    result_tables.run(chosen, chosen.layout)
    plots.run(chosen, chosen.layout)


@app.command()
def report(study: Study = "mini", file: File = None) -> None:
    """Write results/<study>/report.html from what the other stages made."""
    from soundprompt.report import html

    params = p.report_view(_params(study, file))
    html.run(params, params.layout)


@app.command()
def predict(
    video: Annotated[
        str, typer.Argument(help="A video, a folder of videos, a picture, or a folder of pictures (one a second).")
    ],
    out: Annotated[str, typer.Option(help="The video to write, masks and a table beside it; of videos, a folder.")],
    model: Annotated[
        str | None, typer.Option(help="Folder of a run or an export, or hf://owner/name; else the study's best gavs.")
    ] = None,
    audio: Annotated[str | None, typer.Option(help="Sound file; else the video's own sound.")] = None,
    start: Annotated[float, typer.Option(help="Where to begin, seconds.")] = 0.0,
    end: Annotated[float | None, typer.Option(help="Where to stop, seconds; else at the end.")] = None,
    every: Annotated[float, typer.Option(help="Seconds between predictions.")] = 1.0,
    threshold: Annotated[float, typer.Option(help="Probability above which a pixel sounds.")] = 0.5,
    device: Annotated[str | None, typer.Option(help="cpu or cuda; else the GPU where there is one.")] = None,
    coco: Annotated[bool, typer.Option("--coco", help="Write the masks as COCO's run lengths too.")] = False,
    page: Annotated[Path | None, typer.Option(help="An HTML page to write, to play with offline.")] = None,
    timeline: Annotated[bool, typer.Option(help="Draw how much sounds along the lower edge.")] = True,
    study: Annotated[str | None, typer.Option(help="Study that the run is of; else the one trained last.")] = None,
) -> None:
    """Paint what sounds into a video of your own, second by second."""
    from soundprompt.prediction import request, runs

    options = {"start": start, "end": end, "every": every, "threshold": threshold, "device": device}
    options |= {"coco": coco, "page": page, "timeline": timeline}
    several = audio is None and bool(request.videos_in(Path(video)))
    asked = None if several else request.Request(Path(video), Path(out), Path(audio) if audio else None, **options)
    trained = runs.find(model, _params(study).study if study else None)
    print(f"model: {trained}", file=sys.stderr, flush=True)

    from soundprompt.prediction import folder, run

    if asked is None:
        rows = folder.predict(Path(video), Path(out), options, trained)
        failed = sum(bool(row["trouble"]) for row in rows)
        print(f"{out}: {len(rows) - failed} of {len(rows)} videos, figures in {Path(out) / folder.SUMMARY}")
        sys.exit(1 if failed else 0)
    count = len(run.predict(asked, trained))
    print(f"{asked.out}: {count} predictions, masks in {asked.masks}, figures in {asked.table}")


@app.command()
def export(
    run: Annotated[str, typer.Argument(help="Folder of a trained run, such as runs/mini/v1m/gavs/seed0.")],
    out: Annotated[str, typer.Argument(help="The folder to write, or hf://owner/name to upload to the Hub.")],
    whole: Annotated[bool, typer.Option("--whole", help="Put the frozen models in too.")] = False,
    private: Annotated[
        bool, typer.Option("--private", help="A repository that is made on the Hub is private.")
    ] = False,
    onnx: Annotated[bool, typer.Option("--onnx", help="Put ONNX graphs in too.")] = False,
) -> None:
    """Hand a trained model on: weights, settings, scores and a model card in one folder."""
    from soundprompt.prediction import export

    print(f"exported to {export.run(run, out, whole, private, onnx)}")


@app.command()
def judge(
    masks: Annotated[list[Path], typer.Argument(help="A folder of masks for each method: <clip>/<frame>.png or .npy.")],
    dataset: Annotated[
        str, typer.Option(help="v1s, v1m, v2, v3, avss, vggss, vpo, is3, or mini (the generated world).")
    ],
    root: Annotated[Path | None, typer.Option(help="Folder of the dataset, in its published layout.")] = None,
    split: Annotated[str | None, typer.Option(help="Split of the dataset; else test.")] = None,
    protocol: Annotated[
        str | None, typer.Option(help="heard, unheard, extended, open-vocabulary, vpo-single, vpo-multi, robust.")
    ] = None,
    lists: Annotated[Path | None, typer.Option(help="Folder with the protocol's lists; else they are fetched.")] = None,
    values: Annotated[
        str, typer.Option(help="mask, probabilities, logits, labels or maps; else by their range.")
    ] = "auto",
    missing: Annotated[str, typer.Option(help="empty: a frame without a mask counts as an empty one.")] = "error",
    first: Annotated[int | None, typer.Option(help="Number of the first frame in your files.")] = None,
    silence: Annotated[list[Path] | None, typer.Option(help="Masks under silence, a folder for each method.")] = None,
    noise: Annotated[list[Path] | None, typer.Option(help="Masks under noise.")] = None,
    offscreen: Annotated[list[Path] | None, typer.Option(help="Masks under an off-screen sound.")] = None,
    constants: Annotated[
        str, typer.Option(help="Thresholds of vssl_eval: a model it knows, or Max,Max10,MaxQ3.")
    ] = "ezvsl",
    confidences: Annotated[Path | None, typer.Option(help="csv of name and confidence, for extended sets.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of judgement.csv, .json and .html; else beside the masks.")
    ] = None,
) -> None:
    """Judge anybody's masks by every published convention, in one table."""
    from soundprompt.judge import request

    request.run(
        masks,
        request.Options(dataset, root, split, protocol, lists, values, missing, first, constants, confidences, out),
        {"silence": silence or [], "noise": noise or [], "offscreen": offscreen or []},
    )


@app.command()
def masks(
    model: Annotated[Path, typer.Option(help="Folder of a trained run, such as runs/mini/v1m/gavs/seed0.")],
    dataset: Annotated[str, typer.Option(help="A dataset of the run's study, with its split: v1m or v1m/test.")],
    out: Annotated[Path, typer.Option(help="Folder to write, as `judge` reads it.")],
) -> None:
    """Write a trained run's masks as files, in the form that `judge` reads."""
    from soundprompt.judge import export

    print(f"{out}: {export.run(model, dataset, out)} masks")


@app.command()
def verify(study: Study = "mini") -> None:
    """Check every artifact of a study against its record; list what differs, is missing, or has no record."""
    from soundprompt import verify as checking

    params = _params(study)
    count, trouble = checking.run(params.study, [each.layout for each in params.studies().values()])
    for found in trouble:
        print(f"{found.kind:>10}: {found.path}: {found.why}")
    print(f"{count - len(trouble)} of {count} artifacts are as recorded")
    if not count:
        raise InputError(f"study {study} has no artifacts here", remedy="run `make report`, or `make restore`")
    if trouble:
        raise InputError(f"{len(trouble)} artifacts are not", remedy="delete those that differ, and make them again")


@app.command()
def headline(study: Study = "mini") -> None:
    """Print where the report is and its headline numbers."""
    path = _params(study).layout.headline
    if not path.exists():
        raise InputError("no report yet", path=path, remedy="run `make report`")
    records.check(path)
    print(path.read_text(), end="")


def _params(study: str, file: Path | None = None, *, fetching: bool = False) -> p.Params:
    if file is not None:
        return p.read_written(file, study)
    return p.load(None if study == "mini" else study, fetching=fetching)


def _foundation(name: str) -> str:
    if name not in ("sam", "audio", "pyramid"):
        raise InputError(f"--model: '{name}' is not one of sam, audio, pyramid")
    return name


def _known(params: p.Params, setting: str, model: str | None = None) -> tuple[str, ...]:
    if setting not in params.settings:
        raise InputError(f"--setting: '{setting}' is not one of {', '.join(params.settings)}")
    if model is None:
        return (setting,)
    if model not in params.models:
        raise InputError(f"--model: '{model}' is not one of {', '.join(params.models)}")
    return setting, model


def _experiment(params: p.Params, name: str) -> str:
    if name not in params.experiments:
        raise InputError(f"--experiment: '{name}' is not one of {', '.join(params.experiments)}")
    return name
