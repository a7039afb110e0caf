"""How many clips and frames a study has: from its frame tables, or before there are any."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from soundprompt import registry
from soundprompt.data import frame_table
from soundprompt.data.world.classes import all_classes
from soundprompt.data.world.parts import SECONDS, parts_of, plan_part
from soundprompt.data.world.splits import COLUMNS, write_splits
from soundprompt.errors import InputError
from soundprompt.params import Params

# Clips of the published split files; five frames a clip of v1s and v1m, ten of v2, one of vggss (docs/reproducing.md).
PUBLISHED = Path(__file__).with_name("published.csv")
COPIES = ("v3",)  # datasets whose pictures are those of others


@dataclass(frozen=True)
class Count:
    """clips; frames, one a second; labelled: frames with a mask or boxes."""

    clips: int
    frames: int
    labelled: int


@dataclass(frozen=True)
class Counts:
    """Of each selection. source: where they come from, in words."""

    of_selection: dict[str, Count]
    source: str

    def total(self, selections: Iterable[str], share: float = 1.0) -> Count:
        """Together. share: of the clips. Raises InputError for a selection that nobody knows."""
        found = []
        for name in selections:
            if name not in self.of_selection:
                what = f"nothing says how many clips {name} has ({self.source})"
                raise InputError(what, remedy="run the study up to its frame tables: snakemake ... foundation")
            found.append(self.of_selection[name])
        clips, frames, labelled = (
            sum(getattr(count, field) for count in found) for field in ("clips", "frames", "labelled")
        )
        return Count(max(1, round(share * clips)), max(1, round(share * frames)), max(1, round(share * labelled)))

    def pictures(self, datasets: Iterable[str]) -> int:
        """Different pictures of some datasets."""
        own = ("train", "val", "test", "unseen")  # each clip stands in one of them
        return sum(
            count.frames
            for name, count in self.of_selection.items()
            if (dataset := name.partition("/")[0]) in datasets
            and dataset not in COPIES
            and (name.partition("/")[2] in own or dataset == "scenes")
        )


def of_study(study: Params) -> Counts:
    """From the study's frame tables if all are there; else from the world that it generates, or what is published."""
    layout = study.layout
    if all(layout.table(name).exists() for name in study.tables()):
        tables = [frame_table.read(layout.table(name)) for name in study.tables()]
        return Counts({name: count for table in tables for name, count in _of_table(table)}, "its frame tables")
    if study.data.source == "generated":
        return Counts(_of_world(study), "the world that it will generate")
    table = pd.read_csv(PUBLISHED, index_col="selection")
    found = {str(name): Count(*map(int, row)) for name, row in zip(table.index, table.to_numpy(), strict=True)}
    if study.data.v1s_supervision == "repeat":
        found["v1s/train"] = Count(found["v1s/train"].clips, *[found["v1s/train"].frames] * 2)
    return Counts(found, "published splits")


def _of_table(table: pd.DataFrame) -> list[tuple[str, Count]]:
    labelled = table["mask"].notna() | table["boxes"].notna()
    return [
        (f"{dataset}/{split}", Count(rows["clip"].nunique(), len(rows), int(labelled[rows.index].sum())))
        for (dataset, split), rows in table.groupby(["dataset", "split"])
    ]


def _of_world(study: Params) -> dict[str, Count]:
    plans = [plan for part in parts_of(study.world) for plan in plan_part(part, study.world)]
    first_alone = {name for name, dataset in registry.datasets().items() if dataset.first_mask_only}
    first_alone = first_alone if study.data.v1s_supervision == "first" else set()
    clips = pd.DataFrame(
        {
            "selection": [f"{plan.part}/{plan.split}" for plan in plans],
            "label": [plan.part for plan in plans],
            "uid": [plan.uid for plan in plans],
            "frames": [1 if plan.part == "vggss" else SECONDS[plan.part] for plan in plans],
        }
    )
    alone = clips["label"].isin(first_alone) & clips["selection"].str.endswith("/train")
    clips["labelled"] = clips["frames"].where(~alone, 1)
    members = [clips, _of_v3(study, plans, clips)]
    together = pd.concat(members).groupby("selection").agg({"uid": "size", "frames": "sum", "labelled": "sum"})
    return {str(name): Count(*map(int, row)) for name, row in zip(together.index, together.to_numpy(), strict=True)}


def _of_v3(study: Params, plans: list, clips: pd.DataFrame) -> pd.DataFrame:
    """The memberships of AVS-V3, as the world will write them."""
    from soundprompt.data.avs_v3 import split_files

    rows = [(p.vid, p.uid, 0, p.start, p.class_name, p.split, p.part) for p in plans if p.part != "vggss"]
    metadata = pd.DataFrame(rows, columns=COLUMNS)
    by_uid, shots = clips.set_index("uid"), study.data.shots
    with tempfile.TemporaryDirectory() as folder:
        write_splits(metadata, all_classes(study.world.levels), shots, study.world.seed, Path(folder))
        found = {split: pd.read_csv(file)["uid"] for split, file in split_files(folder, shots).items()}
    parts = [by_uid.loc[uids].reset_index().assign(selection=f"v3/{split}") for split, uids in found.items()]
    return pd.concat([part.assign(labelled=part["frames"]) for part in parts])
