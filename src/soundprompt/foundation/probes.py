"""Linear probes: how much of an attribute can be read from a frozen feature by a linear classifier."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from soundprompt.data.world.classes import all_classes
from soundprompt.params import Levels

SEEN = "seen"


def class_kinds(levels: Levels) -> dict[tuple[int, int, int], str]:
    """Levels of each class of the world to its kind: seen, new combination or new level."""
    return {each.levels: each.kind for each in all_classes(levels)}


def accuracies(
    features: Tensor, labels: Tensor, kinds: list[str], fit: Tensor, names: tuple[str, ...]
) -> dict[str, dict[str, float | None]]:
    """Accuracy of a linear probe for each attribute, on each kind of class.

    features: (N, D). labels: (N, attributes) int levels. kinds: kind of each row's class. fit: bool (N,), rows for
    fitting, of which only those of seen classes are used; the other rows test. names: of the attributes.
    Returns name -> {"seen", "new combination", "new level": share that is right, "chance": ...}. None where no row
    tests it, or where fitting never met one of the levels to be told (the new pitch).
    """
    of_kind = {kind: torch.tensor([each == kind for each in kinds]) for kind in (SEEN, "new combination", "new level")}
    learn = fit & of_kind[SEEN]
    found: dict[str, dict[str, float | None]] = {}
    for number, name in enumerate(names):
        truth = labels[:, number]
        guess = fit_logistic(features[learn], truth[learn])(features)
        known = set(truth[learn].tolist())
        found[name] = {"chance": 1 / len(known)}
        for kind, rows in of_kind.items():
            test = rows & ~fit
            answerable = test.any() and set(truth[test].tolist()) <= known
            found[name][kind] = (guess[test] == truth[test]).double().mean().item() if answerable else None
    return found


def fit_logistic(features: Tensor, labels: Tensor, penalty: float = 1e-3):
    """Multinomial logistic regression on standardised features, float64, by L-BFGS; returns a function to labels.

    features: (N, D). labels: (N,) int. penalty: times the squared weights.
    """
    middle, spread = features.double().mean(dim=0), features.double().std(dim=0) + 1e-6
    rows = (features.double() - middle) / spread
    weight = torch.zeros(features.shape[1], int(labels.max()) + 1, dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(weight.shape[1], dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([weight, bias], max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        value = F.cross_entropy(rows @ weight + bias, labels) + penalty * weight.square().sum()
        value.backward()
        return value

    with torch.enable_grad():
        optimiser.step(loss)
    return lambda others: ((others.double() - middle) / spread @ weight.detach() + bias.detach()).argmax(dim=1)
