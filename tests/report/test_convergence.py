"""Methods that have not converged: by training's own record, and wherever methods are compared."""

import math

import pandas as pd
import pytest

from soundprompt import params as p
from soundprompt.errors import InputError
from soundprompt.files import read_json, write_json
from soundprompt.report import claims, convergence, html, tables
from soundprompt.report.verdicts import UNTESTED


def record(folder, curve, floor=0.08):
    """What training would have left that validated at every tenth step and took the best of `curve`."""
    folder.mkdir(parents=True, exist_ok=True)
    steps = [10 * (i + 1) for i in range(len(curve))]
    best = max(range(len(curve)), key=lambda i: (curve[i], -i))
    path = folder / "provenance.json"
    before = read_json(path) if path.exists() else {"result": {}}
    result = {"validation": curve[best], "best_step": steps[best], "steps": steps[-1], "validation_floor": floor}
    path.unlink(missing_ok=True)
    write_json(path, before | {"result": before["result"] | result})
    (folder / "metrics.csv").unlink(missing_ok=True)
    pd.DataFrame({"step": steps, "validation": curve}).to_csv(folder / "metrics.csv", index=False)


@pytest.mark.parametrize(
    ("curve", "words"),
    [
        ([0.40, 0.56, 0.60, 0.65, 0.66], ""),
        ([0.57, 0.61], ""),  # two validations, the second a little better
        ([0.30], ""),  # one alone cannot rise
        ([0.51, 0.50, 0.45], ""),  # stopped after its best
        ([0.0, 0.0], "validation mIoU 0.000, a mask of everything 0.080"),
        ([0.06, 0.08], "validation mIoU 0.080, a mask of everything 0.080"),
        ([math.nan], "validation mIoU nan"),
        ([0.10, 0.30], "validation mIoU 0.300, 0.200 of it since the validation before the last"),
    ],
)
def test_the_rule(tmp_path, curve, words):
    record(tmp_path, curve)
    doubt = convergence.read(tmp_path).doubt
    assert doubt == "" if not words else words in doubt and doubt.startswith("has not converged")


def test_a_record_that_says_nothing_of_validation_is_an_error(tmp_path):
    write_json(tmp_path / "provenance.json", {"result": {"validation": 0.5}})
    with pytest.raises(InputError, match="soundprompt train"):
        convergence.read(tmp_path)


@pytest.fixture
def stalled(study):
    """The study in which SAM-Fusion learnt nothing on unseen classes without examples."""
    params, layout = study
    for seed in params.seeds:
        record(layout.run("v3_0shot", "sam_fusion", seed), [0.0, 0.0])
    return params, layout


def test_it_is_not_compared_in_claims(stalled):
    found = {verdict.name: verdict for verdict in claims.run(*stalled)}
    assert found["unseen_over_fusion"].outcome == UNTESTED
    (why,) = found["unseen_over_fusion"].not_compared
    assert why.startswith("SAM-Fusion on V3, 0 shots has not converged: validation mIoU 0.000")
    assert found["one_shot_suffices"].not_compared == []  # the five-shot runs are others
    assert found["sound_decides"].outcome != UNTESTED


def test_it_is_not_compared_in_tables(stalled):
    params, layout = stalled
    experiment = params.experiments["table_v3"].model_copy(update={"reference": "gavs"})
    params = params.model_copy(update={"experiments": {"table_v3": experiment}})
    tables.run(p.table_view(params, "table_v3"), layout)
    rows = tables.read(layout.result_table("table_v3")).set_index(["setting", "method"])
    ours, other = rows.loc[("v3_0shot", "sam_fusion")], rows.loc[("v3_0shot", "gavs-no_audio")]
    assert ours["difference"].isna().all() and ours["mean"].notna().all()
    assert ours["remark"].str.startswith("not compared, has not converged: validation mIoU 0.000").all()
    assert other["difference"].notna().any() and other["remark"].isna().all()
    assert rows.loc[("v3_1shot", "sam_fusion"), "difference"].notna().any()


def test_the_reference_that_has_not_converged_leads_nobody(study):
    params, layout = study
    for seed in params.seeds:
        record(layout.run("v3_0shot", "gavs", seed), [0.01])
    table = tables.build(p.table_view(params, "table_v3"), layout)
    assert table.loc[table["setting"] == "v3_0shot", "difference"].isna().all()
    assert table.loc[table["setting"] == "v3_1shot", "difference"].notna().any()


def test_the_terminal_prints_what_was_tested_and_counts_the_rest(stalled):
    params, layout = stalled
    tables.run(p.table_view(params, "table_v3"), layout)
    html.run(params, layout)
    lines = html.headline(params, layout).splitlines()
    verdicts = claims.run(params, layout)
    untested = [verdict for verdict in verdicts if verdict.outcome == UNTESTED]
    assert [line for line in lines if UNTESTED in line] == [
        f"{UNTESTED:>22}: {len(untested)} of {len(verdicts)} claims"
    ]
    assert not any(verdict.claim in line for verdict in untested for line in lines)
    said = [line for line in lines if "not compared" in line]
    assert len(said) == 1 and "SAM-Fusion on V3, 0 shots has not converged: validation mIoU 0.000" in said[0]
    assert any("V3, 0 shots" in line and "(not converged)" in line for line in lines)
    page = layout.report.read_text()
    assert "Not compared: SAM-Fusion on V3, 0 shots has not converged" in page


def test_a_borrowed_model_is_judged_where_it_was_trained(study):
    _, layout = study
    spec = p.Setting(model_of="v3_0shot", test=("v3/unseen",))
    record(layout.run("v3_0shot", "gavs", 0), [0.0])
    assert convergence.doubt(layout, "elsewhere", spec, "gavs@mismatched", [0])
    record(layout.run("points/v3_0shot", "gavs", 0), [0.5])
    assert not convergence.doubt(layout, "points/elsewhere", spec, "gavs", [0])
    assert not convergence.doubt(layout, "elsewhere", spec, "all_positive", [0])
