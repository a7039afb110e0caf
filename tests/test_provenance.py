"""A key changes with everything that a result depends on, and with nothing else."""

from soundprompt import closure, params, provenance, registry


def key(study, seed=0, inputs=None, stage="train"):
    return provenance.key(stage, params.train_view(study, "v1s", "gavs"), seed, inputs or {"sam": "00"})


def test_key_names_what_a_result_depends_on():
    raw = params.read_base()
    study = params.validate(raw)
    assert key(study) == key(params.validate(raw))
    assert key(study) != key(study, seed=1)
    assert key(study) != key(study, inputs={"sam": "01"})
    assert key(study) != key(study, stage="score")
    raw["report_only"] = raw["experiments"].pop("ablation_sap")
    del raw["report_only"]
    assert key(study) == key(params.validate(raw))
    raw["models"]["gavs"]["schedule"]["learning_rate"] *= 2
    assert key(study) != key(params.validate(raw))


def test_foundation_models_are_made_apart():
    """A change in what makes one foundation model leaves the other's results alone."""
    made = {name: set(provenance.code_files(f"pretrain/{name}")) for name in ("sam", "audio")}
    own = {name: {path.name for path in files} for name, files in made.items()}
    assert "pretrain_sam.py" in own["sam"] - own["audio"] and "pretrain_audio.py" in own["audio"] - own["sam"]
    assert "clips.py" not in own["sam"] | own["audio"]  # no clip is read in pre-training


def test_record_says_where_a_result_comes_from():
    study = params.load()
    view = params.train_view(study, "v1s", "gavs")
    record = provenance.record("train", view, 3, {"sam": "00"}, provenance.Stopwatch(), best_step=7)
    assert record["key"] == provenance.key("train", view, 3, {"sam": "00"})
    assert record["seed"] == 3 and record["best_step"] == 7 and record["packages"]["torch"]
    assert record["cost"]["peak_mib"] > 1 and record["cost"]["wall_s"] >= 0


def test_only_what_a_job_works_with_of_what_is_registered_counts():
    def files(stage, *chosen):
        return {path.name for path in provenance.code_files(stage, chosen)}

    datasets, models = registry.datasets(), registry.architectures()
    readers = {"avsbench.py", "avs_v3.py", "vggss.py"}
    assert readers & files("tables", datasets["v1s"]) == {"avsbench.py"}
    assert readers & files("tables", datasets["v3"]) == {"avsbench.py", "avs_v3.py"}
    assert readers <= files("tables"), "where nothing is chosen, all are meant"
    trained = files("train", models["avsegformer"])
    assert "avsegformer.py" in trained and not {"gavs.py", "sam_fusion.py", "avsbench_tpavi.py", "sap.py"} & trained
    assert "measures.py" in files("score", models["gavs"]) & files("floors")
    assert "measures.py" not in trained


def test_what_the_package_offers_to_other_code_makes_no_result_stale():
    """`soundprompt.load` imports all of prediction, and every verb the package."""
    for stage in ("train", "score", "table"):
        files = {path.relative_to(closure.ROOT).as_posix() for path in provenance.code_files(stage)}
        assert "__init__.py" in files and not any(name.startswith("prediction/") for name in files)
