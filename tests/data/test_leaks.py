"""Leaks: what is found, what stops, what can be left out, and what is said."""

from pathlib import Path

import pandas as pd
import pytest

from soundprompt import params as p
from soundprompt.data import avs_v3, avsbench, comparisons, frame_table, leaks, tables
from soundprompt.errors import InputError
from soundprompt.files import digest_bytes, write_text
from soundprompt.layout import Layout

ROOT = Path(__file__).parents[2]

SETTINGS = {
    "v3_0shot": p.Setting(
        train=("v3/seen_train",), validate_on=("v3/seen_val",), test=("v3/unseen", "v3/1_shot_test"), unseen=True
    ),
    "v3_1shot": p.Setting(
        start_from="v3_0shot", train=("v3/1_shot_train",), validate_on=("v3/seen_val",), test=("v3/1_shot_test",)
    ),
    "v2": p.Setting(train=("v2/train",), validate_on=("v2/val",), test=("v2/test",)),
    "vggss": p.Setting(model_of="v2", test=("vggss/test",)),
}
CLEAN = {
    "v3/seen_train": "ab",
    "v3/seen_val": "c",
    "v3/unseen": "def",
    "v3/1_shot_train": "d",
    "v3/1_shot_test": "ef",
    "v2/train": "ghi",
    "v2/val": "j",
    "v2/test": "kl",
    "vggss/test": "mn",
}
"""Clips of each selection; clip 'a' is of video 'a' and class 'A'."""


def write(layout: Layout, selections=None, **changed) -> None:
    """Frame tables with two frames a clip. changed: of a clip's rows; image: what stands for its bytes."""
    rows = []
    for selection, clips in {**CLEAN, **(selections or {})}.items():
        dataset, split = selection.split("/")
        for clip in clips:
            own = {"video": clip, "class_name": clip.upper(), "image": clip, **changed.get(clip, {})}
            rows += [_frame(dataset, split, clip, frame, **own) for frame in (0, 1)]
    for dataset, part in pd.DataFrame(rows).groupby("dataset"):
        frame_table.write(part.reset_index(drop=True), layout.table(str(dataset)))


def _frame(dataset, split, clip, frame, video, class_name, image) -> dict:
    digest = f"{image}{frame}".encode().hex().rjust(64, "0")
    empty = dict.fromkeys(("silent", "mask", "objects", "boxes", "mask_digest"))
    files = {"image": f"{clip}.jpg", "audio": f"{clip}.wav", "image_digest": digest, "audio_digest": digest}
    names = {"dataset": dataset, "split": split, "clip": clip, "video": video, "class_name": class_name, "kind": ""}
    return names | files | empty | {"frame": frame, "second": frame, "n_sources": 1, "width": 8, "height": 8}


def view(leaks="stop", **settings) -> p.LeaksView:
    return p.LeaksView(study="tiny", settings={**SETTINGS, **settings}, leaks=leaks)


def found(layout: Layout, mode="stop", **settings) -> pd.DataFrame:
    table = leaks.check(view(mode, **settings), layout).comparisons
    return table[table["shared"] > 0]


def test_clean_tables_pass_and_every_comparison_is_on_record(layout):
    write(layout)
    leaks.run(view(), layout)
    table = leaks.read(layout)
    assert (table["shared"] == 0).all() and (table["verdict"] == "").all()
    made = set(zip(table["setting"], table["selection"], table["other"], table["what"], strict=True))
    assert ("v3_1shot", "v3/seen_train", "v3/1_shot_test", "video") in made  # by way of start_from
    assert ("vggss", "v2/train", "vggss/test", "picture") in made  # by way of model_of
    assert ("v3_0shot", "v3/seen_train", "v3/unseen", "class") in made
    assert {name for name, *_, what in made if what == "class"} == {"v3_0shot"}


def test_a_shared_video_stops_and_says_where_and_what_to_do(layout, capsys):
    write(layout, b={"video": "e"}, n={"video": "g"})
    with pytest.raises(InputError) as caught:
        leaks.run(view(), layout)
    said = str(caught.value)
    assert "setting v3_0shot: 1 video shared by v3/seen_train (train, 1 clip) and v3/unseen (test, 1 clip)" in said
    assert "settings v3_0shot, v3_1shot: 1 video shared by v3/seen_train (train, 1 clip) and v3/1_shot_test" in said
    assert "setting vggss: 1 video shared by v2/train (train, 1 clip) and vggss/test (test, 1 clip), such as g" in said
    assert "data.leaks: drop" in said and "report" in said and "leaks.csv" in said
    assert (leaks.read(layout)["verdict"] == "stops").sum() == 4
    leaks.run(view("report"), layout)
    assert capsys.readouterr().err.count("leak: ") == 3
    assert set(leaks.read(layout)["verdict"]) == {"", "reported"}


def test_pictures_classes_and_clips_on_both_sides(layout):
    write(layout, {"v2/test": "kg"}, h={"image": "k"}, c={"class_name": "X_E"}, a={"class_name": "background"})
    rows = found(layout).set_index(["selection", "other", "what"])["examples"].to_dict()
    assert rows == {
        ("v2/train", "v2/test", "video"): "g",
        ("v2/train", "v2/test", "picture"): "g, h",
        ("v3/seen_val", "v3/unseen", "class"): "E",
        ("v3/seen_val", "v3/1_shot_test", "class"): "E",
    }


def test_training_and_validation_may_share_but_it_is_noted(layout):
    write(layout, c={"video": "a"})
    leaks.run(view(), layout)
    table = leaks.read(layout)
    assert table.loc[table["shared"] > 0, ["selection", "other", "verdict"]].values.tolist() == [
        ["v3/seen_val", "v3/seen_train", "noted"]
    ]


def test_unseen_is_a_claim_of_the_setting(layout):
    write(layout, e={"class_name": "A"})
    assert set(found(layout)["what"]) == {"class"}
    open_ = SETTINGS["v3_0shot"].model_copy(update={"unseen": False})
    assert found(layout, v3_0shot=open_).empty


def test_what_cannot_be_left_out_stops_and_says_so(layout):
    write(layout, h={"image": "k"})
    with pytest.raises(InputError, match=r"1 clip.*such as h") as caught:
        leaks.run(view("drop"), layout)
    assert "cannot be left out" in str(caught.value)


def test_which_side_gives_up_clips():
    assert comparisons.given_up(SETTINGS, "vggss") == [("test", "v2/train"), ("test", "v2/val")]
    assert comparisons.given_up(SETTINGS, "v2") == [("train", "v2/test"), ("val", "v2/test"), ("val", "v2/train")]
    assert set(comparisons.given_up(SETTINGS, "v3")) == {
        *(("seen_train", f"v3/{test}") for test in ("unseen", "1_shot_test")),
        *(("seen_val", f"v3/{other}") for other in ("unseen", "1_shot_test", "seen_train", "1_shot_train")),
        ("1_shot_test", "v3/1_shot_train"),
    }


def test_damaged_or_missing_table(layout):
    with pytest.raises(InputError, match="soundprompt leaks"):
        leaks.read(layout)
    write(layout)
    leaks.run(view(), layout)
    leaks.path(layout).write_text("setting,shared\n")
    with pytest.raises(InputError, match=r"leaks\.csv: damaged"):
        leaks.read(layout)
    write_text(leaks.path(layout), "setting,shared\n")  # as an older version left it
    with pytest.raises(InputError, match="columns differ"):
        leaks.read(layout)


# ------------------------------------------------------------- from files in the released formats
def tabulate(layout, leaks_mode):
    study = p.load(base=ROOT / "params.yaml").model_copy(update={"study": "tiny", "settings": SETTINGS})
    study = study.model_copy(update={"data": p.Data(shots=(1,), leaks=leaks_mode)})
    for dataset in ("v2", "v3", "vggss"):
        tables.make_table(p.tables_view(study, dataset), layout)
    return p.leaks_view(study)


@pytest.fixture
def study_files(v3_root, vggss_root):
    """With a video of v2/train in VGG-SS, besides what the fixtures share."""
    (vggss_root / "vggss.json").write_text(
        (vggss_root / "vggss.json").read_text().replace("zpWuikVorYg", "_-apT0tfo6U")
    )
    for folder, suffix in (("frames", "jpg"), ("audio", "wav")):
        file = vggss_root / folder / f"zpWuikVorYg_000032.{suffix}"
        file.rename(file.with_stem("_-apT0tfo6U_000032"))
    names = vggss_root / "vggss_test.csv"
    names.write_text(names.read_text().replace("zpWuikVorYg", "_-apT0tfo6U"))


def test_dropping_leaves_nothing_to_find(layout, study_files):
    asked = tabulate(layout, "stop")
    with pytest.raises(InputError) as caught:
        leaks.run(asked, layout)
    for pair in ("v3/1_shot_train (train, 1 clip) and v3/1_shot_test", "v2/train (train, 1 clip) and vggss/test"):
        assert pair in str(caught.value)
    whole = {dataset: frame_table.read(layout.table(dataset)) for dataset in ("v2", "v3", "vggss")}
    leaks.run(tabulate(layout, "drop"), layout)
    assert (leaks.read(layout)["shared"] == 0).all()
    left = {
        dataset: {*map(tuple, rows[["split", "clip"]].values)}
        - {*map(tuple, frame_table.read(layout.table(dataset))[["split", "clip"]].values)}
        for dataset, rows in whole.items()
    }
    assert left == {
        "v2": {("train", "_3pLesuLT4w_60000_70000"), ("val", "_-apT0tfo6U_30000_40000")},
        "v3": {("seen_val", "_-apT0tfo6U_30000_40000"), ("1_shot_test", "_3pLesuLT4w_80000_90000")},
        "vggss": {("test", "_-apT0tfo6U_000032")},
    }


# ------------------------------------------------------------------------------ the real splits
@pytest.fixture
def released(layout, reference_data):
    """The v3 settings of the paper's study, with the released splits where they belong."""
    layout.avsbench.mkdir(parents=True)
    (layout.avsbench / "metadata.csv").symlink_to((reference_data / "avs_v3" / "metadata.csv").resolve())
    layout.avs_v3.symlink_to((reference_data / "avs_v3").resolve())
    paper = p.load(ROOT / "studies" / "paper.yaml", ROOT / "params.yaml")
    return {
        name: setting for name, setting in paper.settings.items() if name.startswith("v3") and name.endswith("shot")
    }


def tabulate_released(layout, settings, apart) -> pd.DataFrame:
    """The frame table of v3 as the clips' names have it, one frame each, and what the check finds in it."""
    asked = p.TablesView(study="tiny", dataset="v3", data=p.Reading(source="avsbench"), apart=apart)
    clips = tables._without_leaks(tables._expected("v3", asked, layout), asked, layout)
    metadata = avsbench.read_metadata(layout.avsbench)
    names = metadata[metadata["label"].isin(avs_v3.BASES)].set_index("uid")["a_obj"]
    rows = [
        _frame("v3", split, clip.uid, 0, clip.video, names[clip.uid], clip.uid)
        for clip in clips
        for split in clip.splits
    ]
    frame_table.write(pd.DataFrame(rows).assign(image_digest=lambda t: t["clip"].map(_digest)), layout.table("v3"))
    return leaks.check(p.LeaksView(study="tiny", settings=settings, leaks="stop"), layout).comparisons


def _digest(text: str) -> str:
    return digest_bytes(text.encode())


def test_the_released_splits_leak_and_dropping_mends_them(layout, released):
    table = tabulate_released(layout, released, {}).set_index(["setting", "selection", "other", "what"])
    # 287 by the metadata's own vid; the true YouTube ids of v1m clips share a few more
    shared = {
        ("v3_0shot", "v3/seen_val", "v3/seen_train", "video"): 307,
        ("v3_0shot", "v3/seen_train", "v3/unseen", "class"): 0,
        ("v3_0shot", "v3/seen_val", "v3/unseen", "class"): 0,
    }
    assert {key: table.loc[key, "shared"] for key in shared} == shared
    assert table.loc[("v3_0shot", "v3/seen_train", "v3/unseen", "video"), "shared"] >= 14
    tests = [(f"v3_{k}shot", f"v3/{k}_shot_train", f"v3/{k}_shot_test", "video") for k in (1, 3, 5)]
    assert [table.loc[key, "other_clips"] for key in tests] == [18, 12, 16]
    assert set(table.loc[tests, "verdict"]) == {"stops"}
    whole = frame_table.read(layout.table("v3"))["split"].value_counts()
    dropped = tabulate_released(layout, released, released)
    assert (dropped["shared"] == 0).all()
    left = (whole - frame_table.read(layout.table("v3"))["split"].value_counts()).to_dict()
    assert left["unseen"] == 0 and [left[f"{k}_shot_train"] for k in (1, 3, 5)] == [0, 0, 0]
    assert [left[f"{k}_shot_test"] for k in (1, 3, 5)] == [18, 12, 16]


def test_the_studies_of_real_data_say_it_beside_their_tables():
    for study in ("paper", "clip"):
        assert p.load(ROOT / "studies" / f"{study}.yaml", ROOT / "params.yaml").data.leaks == "report"
    assert p.load(base=ROOT / "params.yaml").data.leaks == "stop"
