"""Digests of what runs see pictures through."""

from __future__ import annotations

from soundprompt import records
from soundprompt.features import plan, store
from soundprompt.files import digest_value
from soundprompt.layout import Layout
from soundprompt.params import Model


def visual_inputs(model: Model, layout: Layout) -> dict[str, str]:
    """Name -> digest: the weights of the encoder that a model reads, and the recipe of the cache if it reads one.

    The recipe, with the frame tables, determines every feature. Pixels are checked against the tables when read.
    """
    found = {model.reads: records.digest(layout.foundation(model.reads))}
    if model.reads == "sam":
        shard = int(plan.read(layout)["shard"].min())
        found["visual features"] = digest_value(store.Store(layout.visual_shard(shard)).recipe)
    return found
