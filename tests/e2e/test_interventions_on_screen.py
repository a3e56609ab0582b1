"""A person at a real terminal intervenes in a real training."""

from __future__ import annotations

import getpass
import socket

import pytest
from world import eventually

from monitor.rows import steps_of
from probe import wire

ME = f"{getpass.getuser()}@{socket.gethostname()}"


@pytest.fixture
def training(world):
    process = world.train("--steps", "1000000", "--pace-s", "0.005", "--name", "patient")
    eventually(world.live_entries)
    return process


def newest_step(world):
    return max(steps_of(batch)[-1] for batch in world.recorded(wire.Batch) if batch.rows)


def test_a_run_is_paused_from_one_screen_and_resumed_from_the_next(world, terminal, training):
    first = terminal(120, 40)
    first.run("watch", "patient")
    first.shows("RUN", "patient", "i intervene")
    first.press("i")
    first.shows("p   pause")
    first.press("p")
    first.shows("Hold the loop at the next step", "y do it")
    first.press("y")
    first.shows("PAUSED", f"paused by {ME} at step")
    first.close()

    second = terminal(120, 40)
    second.run("watch", "patient")
    second.shows("PAUSED", f"paused by {ME} at step", "press r to resume")
    second.press("r")
    second.shows("Let the loop go on")
    second.press("y")
    second.shows("RUN", "✓ resumed after")


def test_a_yes_typed_ahead_of_the_question_leaves_the_run_as_it_was_and_so_does_a_screen_that_dies(
    world, terminal, training
):
    screen = terminal(120, 40)
    screen.run("watch", "patient")
    screen.shows("RUN", "i intervene")
    screen.press("i", "p", "y")
    screen.shows("Hold the loop at the next step", "y do it", "y was typed before this was on the screen")
    screen.close()
    before = newest_step(world)
    eventually(lambda: newest_step(world) > before + 20)

    assert [
        mark.command for batch in world.recorded(wire.Batch) for mark in batch.marks if mark.kind == "command"
    ] == []


def test_the_learning_rate_that_is_typed_is_what_the_panel_shows_and_undo_takes_it_back(world, terminal, training):
    screen = terminal(120, 40)
    screen.run("watch", "patient")
    screen.shows("RUN", "i intervene")
    screen.press("i")
    screen.shows("l   learning rate: a factor or a value")
    screen.press("l")
    screen.shows("x0.5 of the schedule, or a learning rate such as 3e-4")
    screen.press("x", "0", ".", "5", "Enter")
    screen.shows("group 0: schedule 0.05, x0.5, effective 0.05 → 0.025")
    screen.press("y")
    shown = screen.shows("✓ learning rate x0.5, from step", "schedule 0.05, x0.5")
    assert shown.count("»") >= 1

    screen.press("i")
    screen.shows("u   undo: learning rate x0.5")
    screen.press("u")
    screen.shows("Take back what", "learning rate x0.5")
    screen.press("y")
    screen.shows("✓ learning rate as before")
    screen.shows_no_more("schedule 0.05, x0.5")


def test_an_alert_of_a_real_training_offers_a_way_out_that_ends_it(world, terminal):
    training = world.train("--steps", "1000000", "--pace-s", "0.005", "--nan-at", "150", "--name", "poisoned")
    eventually(world.live_entries)
    screen = terminal(120, 40)
    screen.run("watch", "poisoned")
    screen.shows("non-finite", "d stop, no checkpoint   D pause")
    screen.press("d")
    screen.shows("End the run at the next step (now", "Bedside has written none of this run.")
    screen.press("y")

    screen.shows("DONE")
    assert training.wait(60) == 0
    assert list(world.home.rglob("*.pt")) == []


def test_a_screen_that_only_looks_offers_nothing_and_says_why(world, terminal, training):
    screen = terminal(120, 40)
    screen.run("watch", "patient", "--read-only")
    assert "intervene" not in screen.shows("RUN", "patient", "train")
    screen.press("i")
    screen.shows("this monitor only looks (--read-only)")
