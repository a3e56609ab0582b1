"""A run on paper, as text for a person, a pipe and a CI log."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from monitor.commands.report import chart, report
from monitor.model import Snapshot

sys.path.insert(0, str(Path(__file__).parent.parent / "app"))
import screen_snapshots as snapshots


def test_it_says_what_the_run_is_how_it_stands_and_what_was_found():
    text = report(snapshots.alarming(), 80)

    assert text.startswith("● r07 (0badcafe): run\n  resnet18, SGD on cuda:0 H200, gpu-03\n")
    assert "  step 12,843 of 40,000, 2d04h since " in text
    assert "✗ exploding-gradient in layer1.0.bn2, since step 12,457\n    the gradient norm is 34.7" in text
    assert "  → clip the gradient norm at 1.0" in text
    assert "▲ data-starvation, since step 2,900, resolved at 3,900" in text
    assert "step 6,000: lr x0.5" in text


def test_it_says_what_the_run_was_configured_with():
    config = {"lr": 0.1, "optim": {"name": "sgd", "betas": [0.9, 0.99]}, "note": "a\nb"}
    text = report(snapshots.healthy(hello=snapshots.hello(config=config)), 80)

    assert "\n  lr=0.1 optim/name=sgd optim/betas=[0.9, 0.99] note=a" in text


def test_the_best_value_stands_beside_the_newest_with_its_step():
    values = snapshots.ArrayView("val/loss", [10, 20, 30], [0.9, 0.5, 0.7])
    text = report(snapshots.healthy(series={"val/loss": values}), 80)

    line = next(line for line in text.splitlines() if "val/loss" in line)
    assert line.split() == ["val/loss", "0.70000", "best", "0.50000", "at", "step", "20"]


@pytest.mark.parametrize("width", [40, 80, 100])
def test_no_line_is_wider_than_asked(width):
    lines = report(snapshots.alarming(), width).splitlines()
    drawn = [line for line in lines if "│" in line or "┤" in line]

    assert max(map(len, drawn)) <= width
    assert len(drawn) == 2 * 10


def test_without_colours_there_is_no_escape():
    assert "\x1b" not in report(snapshots.alarming(), 80)
    assert "\x1b[" in report(snapshots.alarming(), 80, colors=True)


def test_values_that_are_not_finite_are_left_out_and_counted_and_the_process_lives():
    values = np.array([1.0, np.nan, 2.0, np.inf, -np.inf, 3.0])
    lines = chart("loss", [("train/loss", snapshots.ArrayView("train/loss", range(6), values))], 60, colors=False)

    assert lines[-1] == "  3 values are NaN or infinite and are not drawn"


def test_a_run_of_nan_alone_has_no_chart_and_says_so():
    text = report(snapshots.nan_only(), 80)

    assert "loss: no finite value\n  200 values are NaN or infinite and are not drawn" in text


@pytest.mark.parametrize("state", snapshots.STATES)
def test_every_state_of_a_run_can_be_printed(state):
    assert report(snapshots.STATES[state](), 80)


def test_before_the_first_message_there_is_a_word():
    assert report(Snapshot(), 80).startswith("○ wait: no run yet")


def test_a_spike_of_one_step_is_in_the_chart():
    values = np.ones(100_000)
    values[54_321] = 1000.0
    view = snapshots.ArrayView("train/loss", range(100_000), values)

    assert "1.00k┤" in "\n".join(chart("loss", [("train/loss", view)], 80, colors=False))


def test_the_command_prints_a_finished_run_into_a_pipe(tmp_path):
    from test_commands import ALERT, environment, write_run

    write_run(tmp_path, alert=ALERT)
    done = subprocess.run(
        [sys.executable, "-m", "monitor", "report", "toy"],
        env=environment(tmp_path), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("✓ toy (aaaa1111): done\n")
    assert "✗ divergence, since step 30" in done.stdout
    assert "┤" in done.stdout
    assert "\x1b" not in done.stdout


def test_a_run_that_is_not_there_is_one_line_and_status_2(tmp_path):
    from test_commands import environment

    done = subprocess.run(
        [sys.executable, "-m", "monitor", "report", "nobody"],
        env=environment(tmp_path), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
