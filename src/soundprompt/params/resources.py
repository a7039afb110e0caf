"""What a job of each rule asks of a scheduler."""

from __future__ import annotations

from pydantic import Field

from soundprompt.params.base import Count, Positive, Settings


class Needs(Settings):
    """What one job of a rule asks of a scheduler; by hand only `threads` counts."""

    threads: Positive = 1
    mem_mb: Positive = Field(2000, description="memory, MB")
    runtime: Positive = Field(60, description="minutes")
    gpus: Count = 0

    def asked(self) -> dict[str, int]:
        """As Snakemake's `resources` take it."""
        return {"mem_mb": self.mem_mb, "runtime": self.runtime, "gpu": self.gpus}


class Resources(Settings):
    """Needs of a job by rule; no result depends on them."""

    fetch: Needs = Needs()
    world_part: Needs = Needs()
    frame_table: Needs = Needs()
    pretrain: Needs = Needs()
    visual_features: Needs = Needs()
    audio_features: Needs = Needs()
    train: Needs = Needs()
    score: Needs = Needs()
    examine: Needs = Needs()
    floors: Needs = Needs()
    cost: Needs = Needs()
    table: Needs = Needs()
    report: Needs = Needs()

    def overview(self) -> str:
        """What each rule asks for, as lines of text."""
        lines = [f"{'a job of':<16} {'cores':>5} {'memory, MB':>11} {'minutes':>8} {'GPUs':>5}"]
        for rule in type(self).model_fields:
            n = getattr(self, rule)
            lines.append(f"{rule:<16} {n.threads:>5} {n.mem_mb:>11} {n.runtime:>8} {n.gpus:>5}")
        return "\n".join(lines)
