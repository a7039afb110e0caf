"""A checkout in a folder whose name means something to a shell."""

import pytest

import minute_study

pytestmark = [pytest.mark.pipeline, pytest.mark.slow]


@pytest.mark.parametrize("name", ["o'neil", "Jürgens $HOME & Söhne", 'a "b" `c` {d}'])
def test_jobs_run_there(tmp_path, name):
    root = tmp_path / name
    root.mkdir()
    copy = minute_study.copy_project(root)
    minute_study.write_study(root)
    copy.snakemake(minute_study.NAME, "--", f"data/{minute_study.NAME}/world-vggss.csv")
    assert (root / f"data/{minute_study.NAME}/world-vggss.csv").stat().st_size > 100
    minute_study.commit(copy, "all", first=True)
    minute_study.write_stages(root)
    assert "-- foundation" in copy.good("dvc", "repro", "--dry", "--force", "foundation")
