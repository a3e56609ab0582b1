"""What the engine knows of a run between two evaluations."""

import numpy as np
import pytest

from monitor.engine import Engine
from monitor.model import Severity
from monitor.rules import Clock, Rule
from probe import packing, wire
from tests.synthetic_runs import HELLO, batch, fail, falling


def test_the_training_accuracy_of_an_evaluation_is_that_since_the_one_before_however_seldom_it_comes():
    every_tenth = np.where(np.arange(1, 201) % 10 == 0, np.arange(1, 201) / 200, np.nan)
    seen = []

    def check(train_accuracy, context, *, level=1.0):
        seen.append(float(train_accuracy.values[-1]))

    rule = Rule(
        name="spy",
        signals=("train_accuracy",),
        severity=Severity.INFO,
        summary="",
        action="",
        check=check,
        clock=Clock.EVALUATIONS,
    )
    made = batch({"train/loss": falling(200)}, val={step: {"val/loss": 1.0} for step in (100, 200)})
    at = np.arange(9, 200, 10)
    rows_at = [int(i) + (i >= 100) for i in at]  # one row for the evaluation after step 100
    made.scalars["train/accuracy"] = wire.Column(every_tenth[at].astype("<f8").tobytes(), packing.pack_rows(rows_at))
    engine = Engine([rule], on_fault=fail)
    engine.hello(HELLO)
    engine.feed(made)
    assert seen == [pytest.approx(0.275), pytest.approx(0.775)]
