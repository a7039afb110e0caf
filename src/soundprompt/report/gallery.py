"""Clips to look at and listen to: frames, truth, each model's mask, the sound.

The page opens with a few that were drawn before anything was scored, one frame of each; the gallery has the best, the
worst and unselected ones, all frames and all methods.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from soundprompt.data import frame_table, media
from soundprompt.errors import InputError
from soundprompt.layout import Layout
from soundprompt.params import Params, Setting
from soundprompt.report import convergence, evidence, names

if TYPE_CHECKING:  # loads torch, which a report without cases does without
    from soundprompt.foundation.geometry import Square

JUDGE = "gavs"  # its score chooses the best and worst cases
SHOWN = ("gavs", "gavs@mismatched", "gavs-no_audio", "sam_fusion", "avsbench_tpavi", "avsegformer", "audio_sam")
RIVALS = ("sam_fusion", "avsbench_tpavi", "avsegformer", "audio_sam")  # the first that has converged opens the page
OVERLAPS = ("miou", "ciou_fixed")  # of the masks that are shown, with masks and with boxes
OPENING = 6  # clips at most; the same number from each setting, so that there are four to six
CHOSEN = {"best": 2, "worst": 2, "unselected": 2}
HEIGHT, GAP = 128, 4  # of a frame in a strip, pixels; frames are shrunk to it, never enlarged
OPENING_HEIGHT = 256  # of a frame by itself
MAX_SECONDS = 10
NEAR = 0.1  # pixels of the strip by which an outline may be off


@dataclass(frozen=True)
class Overlay:
    """One row of a case: whose mask, its score, and for each frame the svg path of its outline."""

    label: str
    score: str
    paths: list[str]
    alt: str


@dataclass(frozen=True)
class Case:
    """A clip with everything that is shown of it.

    strip: data address of its frames side by side (jpeg); width, height, step: of the strip, and from
    one frame's left edge to the next, pixels. boxes: for each frame the rectangles of its annotation.
    """

    title: str
    why: str
    clip: str
    strip: str
    sound: str | None
    width: int
    height: int
    step: int
    frame_width: int
    n_frames: int
    overlays: list[Overlay]


@dataclass(frozen=True)
class SettingCases:
    """The cases of one setting, those that open the page, and what could not be shown."""

    setting: str
    title: str
    opening: list[Case] = field(default_factory=list)
    cases: list[Case] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Drawn:
    """What one method drew: (clip, frame) -> logits over the square on which its encoder sees pictures."""

    logits: dict[tuple[str, int], np.ndarray]
    square: Square

    def on(self, row: Any) -> np.ndarray | None:
        """Logits (height, width) at a frame's own size; row: of the frame table. None if it drew nothing there."""
        import torch

        found = self.logits.get((row.clip, row.frame))
        if found is None:
            return None
        return self.square.restore(torch.from_numpy(found).float()[None, None], [(row.height, row.width)])[0].numpy()


@dataclass(frozen=True)
class Tested:
    """One setting's test clips and what was made of them; only methods that left predictions.

    frames: rows of the frame table. drawn, scores: by method; scores have rows of OVERLAPS only. hears: clip -> the
    clip whose sound a method had in place of its own.
    """

    frames: pd.DataFrame
    drawn: dict[str, Drawn]
    scores: dict[str, pd.DataFrame]
    hears: dict[str, str]

    def overlap(self, method: str, rows: pd.DataFrame) -> float | None:
        """Mean overlap of a method's masks with the truth in these frames of one clip; None where it has no score."""
        scores = self.scores[method]
        here = (scores["clip"] == rows["clip"].iloc[0]) & scores["frame"].isin([-1, *rows["frame"]])
        return float(scores.loc[here, "value"].mean()) if here.any() else None

    def label(self, method: str, clip: str) -> str:
        """The method's name, and what it hears where that is another clip's sound."""
        if not method.endswith("@mismatched"):
            return names.method(method)
        heard = self.frames.loc[self.frames["clip"] == self.hears[clip], "class_name"].iloc[0]
        return f"{names.method(method)} ({heard})"


def run(params: Params, layout: Layout) -> list[SettingCases]:
    """The clips of the main tables' settings that train from scratch or borrow a model, where predictions are there."""
    tables = [e for name, e in params.experiments.items() if name.startswith("table_")]
    shown = {setting for e in tables or params.experiments.values() for setting in e.settings}
    settings = {s: spec for s, spec in params.settings.items() if s in shown and not spec.start_from}
    judged = [setting for setting in settings if _predictions(params, layout, setting, JUDGE).exists()]
    share = max(1, OPENING // max(1, len(judged)))
    found = []
    for setting, spec in settings.items():
        try:
            found.append(_cases_of_setting(params, layout, setting, spec, share))
        except InputError as error:
            found.append(SettingCases(setting, names.setting(setting), notes=[f"No cases: {error}"]))
    return found


def opening(settings: list[SettingCases]) -> list[Case]:
    """The clips that open the page."""
    return [case for setting in settings for case in setting.opening][:OPENING]


def how_opened(params: Params) -> str:
    """The sentences that say which clips open the page, and what is seen of them."""
    rivals = ", ".join(names.method(rival) for rival in RIVALS)
    return (
        "These clips were drawn by a fixed random number, before any score was read, as many from each test set. Shown "
        f"is the middle frame. Beside {names.method(JUDGE)} stands one rival, the first that has converged of {rivals} "
        f"(seed {params.seeds[0]}). What lies outside a mask is darkened; the number is its overlap with the "
        "truth in this frame, 1 at best."
    )


def how_chosen(params: Params) -> str:
    """The sentence that says which cases the gallery shows."""
    judge = f"{names.method(JUDGE)}, seed {params.seeds[0]}"
    return (
        f"From each setting's test clips, by the score of {judge}: the {CHOSEN['best']} best, the {CHOSEN['worst']} "
        f"worst, and {CHOSEN['unselected']} drawn by a fixed random number without looking. "
        "Best and worst cases show the range, the drawn ones what is usual."
    )


def _cases_of_setting(params: Params, layout: Layout, setting: str, spec: Setting, n_opening: int) -> SettingCases:
    tested = _tested(params, layout, setting, spec)
    title = names.setting(setting)
    if JUDGE not in tested.drawn:
        return SettingCases(setting, title, notes=[f"{names.method(JUDGE)} has no predictions here."])
    clips = {clip: rows.sort_values("frame") for clip, rows in tested.frames.groupby("clip")}
    rival = _rival(params, layout, setting, spec, tested)
    opening = []
    for clip in _shuffled(clips)[:n_opening]:
        middle = clips[clip].iloc[[len(clips[clip]) // 2]]
        opening.append(_case(tested, middle, [JUDGE, *rival], title, OPENING_HEIGHT))
    chosen = _choose(tested.scores[JUDGE].groupby("clip")["value"].mean())
    cases = [_case(tested, clips[clip], [*tested.drawn], why, HEIGHT) for clip, why in chosen.items()]
    return SettingCases(setting, title, opening, cases)


def _predictions(params: Params, layout: Layout, setting: str, model: str) -> Path:
    return layout.run(setting, model, params.seeds[0]) / "predictions.safetensors"


def _tested(params: Params, layout: Layout, setting: str, spec: Setting) -> Tested:
    from soundprompt.evaluation import predict
    from soundprompt.foundation import encoders

    selection = evidence.primary(spec)
    frames = frame_table.select(layout, [selection])
    drawn, scores = {}, {}
    squares = {name: encoders.square(model, params.foundation) for name, model in params.models.items()}
    for method in SHOWN:
        model, _, probe = method.partition("@")
        path = _predictions(params, layout, setting, model)
        if model not in params.models or not path.exists():
            continue
        found = predict.read_predictions(path, selection, probe or "own")
        if found:
            drawn[method] = Drawn(found, squares[model])
            rows = evidence.scores(layout, setting, method, [params.seeds[0]])
            scores[method] = rows[(rows["selection"] == selection) & rows["metric"].isin(OVERLAPS)]
    hears = predict.partners(frames) if any(m.endswith("@mismatched") for m in drawn) else {}
    return Tested(frames, drawn, scores, hears)


def _rival(params: Params, layout: Layout, setting: str, spec: Setting, tested: Tested) -> list[str]:
    """The first of RIVALS that has predictions here and has converged, or none."""
    there = [rival for rival in RIVALS if rival in tested.drawn]
    return [rival for rival in there if not convergence.doubt(layout, setting, spec, rival, params.seeds)][:1]


def _shuffled(clips: Iterable[str]) -> list[str]:
    """The same order for the same clips, which nothing but their number decides."""
    ordered = sorted(clips)
    return [ordered[i] for i in np.random.default_rng([0, len(ordered)]).permutation(len(ordered))]


def _choose(judged: pd.Series) -> dict[str, str]:
    """clip -> why it is shown. The same clips for the same scores."""
    ordered = judged.sort_index().sort_values(ascending=False, kind="stable").index.tolist()
    chosen: dict[str, str] = {}
    for clip in ordered[: CHOSEN["best"]]:
        chosen[clip] = "best"
    for clip in ordered[::-1][: CHOSEN["worst"]]:
        chosen.setdefault(clip, "worst")
    drawn = _shuffled(set(ordered) - set(chosen))[: CHOSEN["unselected"]]
    return chosen | dict.fromkeys(sorted(drawn), "unselected")


# ---------------------------------------------------------------------------------- a case
def _case(tested: Tested, rows: pd.DataFrame, methods: list[str], why: str, height: int) -> Case:
    """rows: the frames of one clip that are shown, at most `height` pixels high."""
    first = rows.iloc[0]
    images = list(zip(rows["image"], rows["image_digest"], strict=True))
    strip, width, height = _strip(images, height)
    true = [_truth(row, width, height) for row in rows.itertuples()]
    overlays = [Overlay("truth", "", true, "the true mask in each frame")]
    for method in methods:
        paths = [_outline(tested.drawn[method].on(row), width, height) for row in rows.itertuples()]
        value = tested.overlap(method, rows)
        label = tested.label(method, first["clip"])
        score = f"{value:.2f}" if value is not None else ""
        overlays.append(Overlay(label, score, paths, f"mask of {label} in each frame, overlap {score or 'unknown'}"))
    kind = f", {first['kind']}" if first["kind"] and first["kind"] != "seen" else ""
    return Case(
        title=f"{first['class_name'].replace('_', ' + ')}{kind}",
        why=why,
        clip=first["clip"],
        strip=strip,
        sound=_sound(Path(first["audio"])),
        width=len(rows) * (width + GAP) - GAP,
        height=height,
        step=width + GAP,
        frame_width=width,
        n_frames=len(rows),
        overlays=overlays,
    )


def _strip(images: list[tuple[str, str]], height: int) -> tuple[str, int, int]:
    """Data address of the frames side by side, at most `height` pixels high, and the size of one frame there.

    images: paths and their digests.
    """
    from PIL import Image

    pictures = []
    for path, digest in images:
        content = media.read_bytes(path, digest)
        try:
            with Image.open(io.BytesIO(content)) as picture:
                pictures.append(picture.convert("RGB"))
        except OSError as error:
            raise InputError(f"picture cannot be read ({error})", path=path) from error
    scale = min(1.0, height / pictures[0].height)
    width, height = (max(1, round(edge * scale)) for edge in pictures[0].size)
    strip = Image.new("RGB", (len(pictures) * (width + GAP) - GAP, height), (127, 127, 127))
    for i, picture in enumerate(pictures):
        strip.paste(picture.resize((width, height), Image.Resampling.LANCZOS), (i * (width + GAP), 0))
    stream = io.BytesIO()
    strip.save(stream, "JPEG", quality=82)
    return _address("image/jpeg", stream.getvalue()), width, height


def _truth(row, width: int, height: int) -> str:
    """Outline of a frame's true mask, or its boxes; '' where it has neither."""
    from PIL import Image

    if row.boxes is not None:
        edges = [(x0 * width, y0 * height, x1 * width, y1 * height) for x0, y0, x1, y1 in row.boxes]
        return "".join(f"M{x0:.1f} {y0:.1f}H{x1:.1f}V{y1:.1f}H{x0:.1f}Z" for x0, y0, x1, y1 in edges)
    if row.mask is None:
        return ""
    content = media.read_bytes(row.mask, row.mask_digest)
    try:
        with Image.open(io.BytesIO(content)) as stored:
            mask = np.asarray(stored.convert("RGB")).any(axis=2)
    except OSError as error:
        raise InputError(f"mask cannot be read ({error})", path=row.mask) from error
    return _outline(mask.astype(np.float32) - 0.5, width, height)


def _outline(field: np.ndarray | None, width: int, height: int) -> str:
    """Svg path of the zero level of a field (H, W) over a frame of this size; closed along the border.

    Values stand at the middles of their cells. '' for None.
    """
    from contourpy import contour_generator

    if field is None:
        return ""
    walled = np.pad(field, 1, constant_values=min(-1e-3, float(field.min())))
    parts = []
    for line in contour_generator(z=walled).lines(0.0):
        points = _thinned((line - 0.5) * (width / field.shape[1], height / field.shape[0]))
        parts.append("M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points) + "Z")
    return "".join(parts)


def _thinned(points: np.ndarray) -> np.ndarray:
    """An outline (n, 2), pixels, without points that are nearly on the line between their neighbours.

    A contour has a point for each pixel of the frame that it crosses, and frames are shown smaller than they are.
    """
    for _ in range(4):
        before, middle, after = points[:-2:2], points[1:-1:2], points[2::2]
        along, aside = after - before, middle - before
        distance = np.abs(along[:, 0] * aside[:, 1] - along[:, 1] * aside[:, 0]) / (np.hypot(*along.T) + 1e-9)
        kept = np.ones(len(points), bool)
        kept[1:-1:2] = distance > NEAR
        points = points[kept]
    return points


def _sound(path: Path) -> str | None:
    """Data address of a clip's sound: mono mp3 where the sound library can write it, else wav."""
    import soundfile

    try:
        with soundfile.SoundFile(path) as stored:
            rate = stored.samplerate
            wave = stored.read(MAX_SECONDS * rate, dtype="float32", always_2d=True).mean(axis=1)
    except (OSError, RuntimeError):
        return None
    stream = io.BytesIO()
    if "MP3" in soundfile.available_formats():
        soundfile.write(stream, wave, rate, format="MP3", subtype="MPEG_LAYER_III")
        return _address("audio/mpeg", stream.getvalue())
    soundfile.write(stream, wave, rate, format="WAV", subtype="PCM_16")
    return _address("audio/wav", stream.getvalue())


def _address(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
