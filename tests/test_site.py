"""What a job asks of Slurm: the study's needs, within the limits of the site."""

import subprocess
from pathlib import Path

import pytest
import yaml

from soundprompt import cluster
from soundprompt.errors import InputError
from soundprompt.params import Needs

FILE = Path("workflow/profiles/slurm/cluster.yaml")


def site(**facts):
    return cluster.Site.model_validate(facts)


def test_the_committed_file_names_every_fact():
    facts = yaml.safe_load(FILE.read_text())
    assert cluster.load(FILE) and set(facts) == set(cluster.Site.model_fields)
    assert set(facts["cpu"]) == set(cluster.Kind.model_fields) and set(facts["gpu"]) == set(cluster.Gpus.model_fields)


def test_memory_and_time_grow_with_attempts_up_to_the_limit():
    asked = cluster.asked(Needs(mem_mb=1000, runtime=60), site(cpu={"max_mem_mb": 2500, "max_runtime": 100}))
    assert [asked["mem_mb"](None, attempt) for attempt in (1, 2, 3)] == [1000, 2000, 2500]
    assert [asked["runtime"](None, attempt) for attempt in (1, 2, 3)] == [60, 100, 100]


def test_a_need_above_the_limit_is_asked_for_as_it_is():
    """Slurm then says itself that it is too much."""
    assert cluster.asked(Needs(mem_mb=9000), site(cpu={"max_mem_mb": 2500}))["mem_mb"](None, 2) == 9000


@pytest.mark.parametrize(("kind", "gres"), [(None, "gpu:2"), ("a100", "gpu:a100:2")])
def test_gpus_are_asked_for_as_gres_where_they_are(kind, gres):
    facts = site(account="lab", cpu={"partition": "small"}, gpu={"partition": "big", "type": kind})
    asked = cluster.asked(Needs(gpus=2), facts)
    assert (asked["gres"], asked["slurm_partition"], asked["slurm_account"]) == (gres, "big", "lab")
    assert "gres" not in cluster.asked(Needs(), facts) and cluster.asked(Needs(), facts)["slurm_partition"] == "small"


def test_a_misspelt_fact_is_named(tmp_path):
    (tmp_path / "cluster.yaml").write_text("gpu: {partion: big}\n")
    with pytest.raises(InputError, match=r"gpu\.partion: unknown key"):
        cluster.load(tmp_path / "cluster.yaml")


def test_the_profile_is_found_by_its_name():
    """`--profile slurm` looks for a folder of that name beside the Snakefile; git must keep the link."""
    mode = subprocess.run(["git", "ls-files", "-s", "slurm"], capture_output=True, text=True).stdout.split()[0]
    assert mode == "120000" and Path("slurm/config.v9+.yaml").exists()
