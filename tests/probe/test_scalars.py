"""Numbers of the person's own: ``run.log`` and ``run.validation``."""

import logging
import math
import os
from fractions import Fraction
from types import MappingProxyType

import numpy as np
import pytest
import torch
from loops import sgd

import probe


def test_scalars_of_ones_own_keep_nan_apart_from_no_value(net, senders):
    run = probe.attach(net, sgd(net), step=7)
    run.log(reward=math.nan, length=3)
    run.log(reward=torch.tensor(2.5))
    run.validation(loss=0.25, accuracy=0.5)
    rows = senders.last.rows()
    assert math.isnan(rows[0][1]["user/reward"])
    assert [scalars.get("user/length") for _, scalars in rows] == [3.0, None, None]
    assert rows[1:] == [(7, {"user/reward": 2.5}), (7, {"val/loss": 0.25, "val/accuracy": 0.5})]


@pytest.mark.parametrize(("given", "named", "found"), [
    ({"reward/mean": 1.5, "length": 3}, {}, {"user/reward/mean": 1.5, "user/length": 3.0}),
    ({"reward": 1.5}, {"length": 3}, {"user/reward": 1.5, "user/length": 3.0}),
    ({"reward": torch.tensor(1.5)}, {"length": 3}, {"user/reward": 1.5, "user/length": 3.0}),
    ({"reward": 1.5}, {"reward": 2.5}, {"user/reward": 2.5}),
    ({7: 1.5, "7": 2.5}, {}, {"user/7": 2.5}),
    (MappingProxyType({"reward": 1.5}), {}, {"user/reward": 1.5}),
    (None, {"scalars": 1.5}, {"user/scalars": 1.5}),
])  # fmt: skip
def test_scalars_of_ones_own_come_by_name_or_in_a_mapping(net, senders, given, named, found):
    run = probe.attach(net, sgd(net), step=7)
    run.log(given, **named)
    run.validation(given, **named)
    in_validation = {key.replace("user/", "val/"): value for key, value in found.items()}
    assert senders.last.rows() == [(7, found), (7, in_validation)]


def test_a_mapping_that_is_changed_after_its_call_is_recorded_as_it_was(net, senders):
    run = probe.attach(net, sgd(net), step=7)
    row = {"reward": 1.5}
    run.log(row)
    row["reward"] = 2.5
    run.log(row)
    assert senders.last.rows() == [(7, {"user/reward": 1.5}), (7, {"user/reward": 2.5})]


def test_a_log_that_was_kept_beyond_detach_hands_nothing_over(net, senders):
    run = probe.attach(net, sgd(net), step=7)
    log = run.log
    log(reward=1.0)
    run.detach()
    log(reward=2.0)
    log(reward=torch.tensor(3.0))
    log()
    assert senders.last.rows() == [(7, {"user/reward": 1.0})]


def test_a_log_of_nothing_is_no_row(net, senders):
    run = probe.attach(net, sgd(net))
    run.log()
    assert senders.last.rows() == []


def test_a_value_that_is_no_number_is_left_out_with_one_line(net, senders, caplog):
    run = probe.attach(net, sgd(net))
    with caplog.at_level(logging.WARNING, logger="probe"):
        run.log(reward="high", steps=3)
        run.log(reward="high")
    assert senders.last.rows() == [(0, {"user/steps": 3.0})]
    assert [record.getMessage() for record in caplog.records] == [
        "Bedside left out user/reward: a str. Numbers and tensors of one element are taken."
    ]


def test_a_value_without_a_name_is_left_out_with_one_line(net, senders, caplog):
    run = probe.attach(net, sgd(net))
    with caplog.at_level(logging.WARNING, logger="probe"):
        for _ in range(2):
            run.log(torch.tensor(0.5), steps=3)
            run.validation(0.5)
    assert senders.last.rows() == [(0, {"user/steps": 3.0})] * 2
    assert [record.getMessage() for record in caplog.records] == [
        "Bedside left out what user/ was given: a Tensor. Give NAME=... or a mapping of names to numbers.",
        "Bedside left out what val/ was given: a float. Give NAME=... or a mapping of names to numbers.",
    ]


class Broken:
    def keys(self):
        raise RuntimeError("no")


class Nameless:
    def __str__(self):
        raise RuntimeError("no")


@pytest.mark.parametrize(("given", "left_out"), [
    (Broken(), "what user/ was given: a Broken. Give NAME=... or a mapping of names to numbers."),
    ({Nameless(): torch.tensor(1.0)}, "user/?: a Tensor. Numbers and tensors of one element are taken."),
    ({"large": 10**400}, "user/large: a int. Numbers and tensors of one element are taken."),
    ({"large": Fraction(10**400)}, "user/large: a Fraction. Numbers and tensors of one element are taken."),
])  # fmt: skip
def test_whatever_is_logged_the_training_goes_on(net, senders, caplog, given, left_out):
    run = probe.attach(net, sgd(net))
    with caplog.at_level(logging.WARNING, logger="probe"):
        run.log(given)
        run.log(given, good=1.0)
    assert senders.last.rows() == [(0, {"user/good": 1.0})]
    assert [record.getMessage() for record in caplog.records] == [f"Bedside left out {left_out}"]


@pytest.mark.parametrize("value", [1.0, torch.tensor(1.0)])
def test_a_name_in_no_known_encoding_is_sent_with_marks_in_it(net, senders, value):
    run = probe.attach(net, sgd(net))
    run.log({os.fsdecode(b"caf\xe9.png"): value})
    assert senders.last.rows() == [(0, {"user/caf?.png": 1.0})]


class Columns:
    """Has keys, as a row of a table, and is no Mapping."""

    def keys(self):
        return ["a"]

    def __getitem__(self, _key):
        return np.float64(1.5)


def test_a_row_of_a_table_is_taken_whatever_its_numbers(net, senders, caplog):
    run = probe.attach(net, sgd(net))
    run.log(Columns())
    run.validation(Columns())
    assert senders.last.rows() == [(0, {"user/a": 1.5}), (0, {"val/a": 1.5})]
    assert caplog.records == []
