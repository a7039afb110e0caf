"""Every setting of the pipeline: typed, documented, validated once.

`params.yaml` is the mini study, with a file in `experiments/` for each of its tables; a file in `studies/` overlays
them. Unknown keys, wrong types and impossible combinations are errors that name the key, the value and what is allowed.
"""

from soundprompt.params.base import Positive, Settings
from soundprompt.params.data import Clips, Data, Levels, Reading, Scene, SceneSplit, World, Youtube
from soundprompt.params.evaluation import Cost, Evaluation
from soundprompt.params.experiments import Experiment, Setting, beside, model_of, plain, substudy_of
from soundprompt.params.foundation import Audio, Features, Pyramid, Sam
from soundprompt.params.loading import merge, read_base, read_layers, resolve_models
from soundprompt.params.messages import describe, refusal
from soundprompt.params.models import Avsegformer, Cola, Model, Presence, Sap, Schedule, Tpavi, Visual
from soundprompt.params.plots import Curve, Dots, Panel
from soundprompt.params.reading import read_yaml
from soundprompt.params.study import Params, load, read, read_written, validate, write
from soundprompt.params.views import (
    READS,
    CostView,
    ExamineView,
    FeaturesView,
    FetchView,
    FloorsView,
    HeldOut,
    LeaksView,
    PretrainView,
    PyramidView,
    ScoreView,
    TablesView,
    TableView,
    TrainView,
    WorldView,
    cost_view,
    examine_view,
    features_view,
    fetch_view,
    floors_view,
    leaks_view,
    pretrain_view,
    report_view,
    score_view,
    table_view,
    tables_view,
    train_view,
    world_view,
)

__all__ = [
    "READS", "Audio", "Avsegformer", "Clips", "Cola",
    "Cost", "CostView", "Curve", "Data", "Dots", "Evaluation", "ExamineView", "Experiment", "Features",
    "FeaturesView", "FetchView", "FloorsView", "HeldOut", "LeaksView", "Levels", "Model", "Panel",
    "Params", "Positive", "Presence", "PretrainView", "Pyramid", "PyramidView", "Reading", "Sam", "Sap", "Scene",
    "SceneSplit", "Schedule", "ScoreView", "Setting", "Settings", "TableView", "TablesView", "Tpavi", "TrainView",
    "Visual", "World", "WorldView", "Youtube", "beside", "cost_view", "describe", "examine_view", "features_view",
    "fetch_view", "floors_view", "leaks_view", "load", "merge", "model_of", "plain", "pretrain_view", "read",
    "read_base", "read_layers", "read_written", "read_yaml", "refusal", "report_view", "resolve_models", "score_view",
    "substudy_of", "table_view", "tables_view", "train_view", "validate", "world_view", "write",
]  # fmt: skip
