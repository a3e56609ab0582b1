"""A sick training is rescued through the very action that its alert offers; left alone it stays sick."""

from __future__ import annotations

import importlib.util
import sys

import pytest
from world import ROOT

sys.path.insert(0, str(ROOT / "tests" / "benchmarks"))

import rescue

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("sklearn") is None, reason="the digits: pip install 'bedside[demo]'"),
]


@pytest.mark.parametrize("case", ["lr-too-high", "plateau"])
def test_a_lower_learning_rate_at_least_halves_the_error_that_is_left(case):
    found = rescue.rescue(case, seed=0)

    assert found.offer == "lr x0.3"
    assert 1 - found.rescued.accuracy < (1 - found.alone.accuracy) / 2
    assert found.rescued.loss < found.alone.loss


def test_a_run_that_overfits_and_is_stopped_keeps_the_better_weights():
    found = rescue.rescue("overfitting", seed=0)

    assert found.offer == "stop"
    assert found.rescued.steps == found.step < found.alone.steps
    assert found.rescued.loss < found.alone.loss
