"""One check for numbers that are not finite: what it finds in which kinds of numbers, and what it says."""

import numpy as np
import pytest
import torch

from soundprompt import finite
from soundprompt.errors import InputError

GOOD = [0.0, 65504.0, -65504.0, 6e-8]


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_one_bad_number_in_any_kind_of_tensor_is_found(bad, dtype):
    for where in range(len(GOOD)):
        values = torch.tensor(GOOD).to(getattr(torch, dtype)).reshape(2, 2)
        assert finite.everywhere(values)
        values[where // 2, where % 2] = bad
        assert not finite.everywhere(values) and not finite.everywhere(values.T)
        if dtype != "bfloat16":
            assert not finite.everywhere(values.numpy()) and not finite.everywhere(values.numpy()[:, ::-1])


def test_plain_numbers_and_empty_arrays():
    assert finite.everywhere(1.5) and finite.everywhere(np.zeros(0)) and finite.everywhere(torch.zeros(0, 3))
    assert not finite.everywhere(float("inf")) and not finite.everywhere(np.float64("nan"))


def test_the_message_names_the_rows_that_are_bad():
    values = torch.zeros(4, 3)
    values[2, 1], values[0, 0] = float("inf"), float("inf")
    with pytest.raises(InputError) as caught:
        finite.check(values, "run 3: logits are", clips=["a", "b", "c", "a"], path="file", remedy="look")
    assert str(caught.value) == "file: run 3: logits are not finite (infinite); clips: a, c\n  remedy: look"
    with pytest.raises(InputError, match=r"^loss is not finite \(NaN\); clips: c0, c1, c2, c3, c4, c5 and 4 more\n"):
        finite.check(float("nan"), "loss is", clips=[f"c{i}" for i in range(10)], remedy="look")
    finite.check(torch.ones(2), "nothing is", clips=["a", "b"], remedy="")


def test_weights_are_named():
    weights = {"a": torch.ones(2), "count": torch.tensor(3), "head.weight": torch.tensor([1.0, float("nan")])}
    with pytest.raises(InputError, match=r"w.pth: its weights head.weight are not finite \(NaN\)"):
        finite.check_all(weights, "its weights", path="w.pth", remedy="make it again")
