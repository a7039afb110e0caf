"""What a job asks of Slurm: its needs, within the limits of the site."""

import subprocess
from pathlib import Path

import pytest
import yaml

from soundprompt import cluster
from soundprompt.errors import InputError

FILE = Path("workflow/profiles/slurm/cluster.yaml")


def site(**facts):
    return cluster.Site.model_validate(facts)


def test_the_committed_file_names_every_fact():
    facts = yaml.safe_load(FILE.read_text())
    assert cluster.load(FILE) and set(facts) == set(cluster.Site.model_fields)
    assert set(facts["cpu"]) == set(cluster.Kind.model_fields) and set(facts["gpu"]) == set(cluster.Gpus.model_fields)


def evaluated(asked, attempt):
    """As Snakemake evaluates what a profile says: each text as an expression."""
    known = {"attempt": attempt}
    return {name: eval(value, known) if isinstance(value, str) else value for name, value in asked.items()}


def test_memory_and_time_grow_with_attempts_up_to_the_limit():
    asked = site(cpu={"max_mem_mb": 2500, "max_runtime": 100}).asks(1000, 60)
    assert [evaluated(asked, attempt)["mem_mb"] for attempt in (1, 2, 3)] == [1000, 2000, 2500]
    assert [evaluated(asked, attempt)["runtime"] for attempt in (1, 2, 3)] == [60, 100, 100]


def test_a_need_above_the_limit_is_asked_for_as_it_is():
    """Slurm then says itself that it is too much."""
    assert evaluated(site(cpu={"max_mem_mb": 2500}).asks(9000, 60), 2)["mem_mb"] == 9000


@pytest.mark.parametrize(("kind", "gres"), [(None, "gpu:2"), ("a100", "gpu:a100:2")])
def test_gpus_are_asked_for_as_gres_where_they_are(kind, gres):
    """Also where a partition has a name that Python knows."""
    facts = site(account="lab", cpu={"partition": "max"}, gpu={"partition": "big", "type": kind})
    asked = evaluated(facts.asks(1000, 60, gpus=2), 1)
    assert (asked["gres"], asked["slurm_partition"], asked["slurm_account"]) == (gres, "big", "lab")
    assert asked["processes"] == 2
    without = evaluated(facts.asks(1000, 60), 1)
    assert "gres" not in without and without["slurm_partition"] == "max"


def test_a_misspelt_fact_is_named(tmp_path):
    (tmp_path / "cluster.yaml").write_text("gpu: {partion: big}\n")
    with pytest.raises(InputError, match=r"gpu\.partion: unknown key"):
        cluster.load(tmp_path / "cluster.yaml")


def test_the_profile_is_found_by_its_name():
    """`--profile slurm` looks for a folder of that name beside the Snakefile; git must keep the link."""
    mode = subprocess.run(["git", "ls-files", "-s", "slurm"], capture_output=True, text=True).stdout.split()[0]
    assert mode == "120000" and Path("slurm/config.v9+.yaml").exists()
