"""Somebody leans on keyboard and mouse: whatever they press, in whatever state and at whatever size, it goes on."""

import random
import string
from dataclasses import replace

import numpy as np
import pytest
import screen_snapshots as snapshots
from screen_driver import shown
from textual.events import MouseScrollDown, MouseScrollUp

from monitor.app.keymap import COMMANDS

KEYS = [key for command in COMMANDS if command.name != "quit" for key in command.keys.split(",")]
#: Keys that no command has, and those that are typed into a box; not ctrl+c, which leaves.
OTHERS = [*(set(string.ascii_letters + string.digits) - {"q"}), "backspace", "delete", "space", "f5", "ctrl+l"]
SIZES = [(60, 16), (80, 24), (100, 32), (120, 40), (200, 60), (20, 5)]
PRESSES = 100


def opened(run_id):
    """Any other run is one of these, or is not there."""
    return {"22222222": snapshots.healthy(steps=900), "33333333": snapshots.nan_only()}.get(run_id)


def thinned(snapshot, dice):
    """The same without some of its series, classes, runs and alerts."""

    def some(items):
        return tuple(item for item in items if dice.random() < 0.5)

    table = snapshot.val_classes
    gone = np.array([dice.random() < 0.5 for _ in table.accuracy], bool)
    return snapshots.newer(
        snapshot,
        series={key: snapshot.series[key] for key in some(snapshot.series)},
        val_classes=replace(table, accuracy=np.where(gone, np.nan, table.accuracy)),
        runs=some(snapshot.runs),
        alerts=some(snapshot.alerts),
    )


async def point(bedside, dice):
    """Click somewhere, or turn the wheel there."""
    width, height = bedside.app.size
    at = dice.randrange(width), dice.randrange(height)
    if dice.random() < 0.6:
        await bedside.pilot.click(offset=at)
    else:
        await bedside.pilot._post_mouse_events([dice.choice([MouseScrollDown, MouseScrollUp])], offset=at, button=0)


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 6))])
async def test_random_keys_and_clicks_never_end_it_or_leave_a_line_that_is_not_as_wide_as_the_screen(seed):
    dice = random.Random(seed)
    states = [make() for make in snapshots.STATES.values()]
    async with shown(
        snapshots.alarming(), (80, 24), open_run=opened, explain=lambda rule: f"{rule} is bad"
    ) as bedside:
        for _ in range(PRESSES // 5):
            await bedside.pilot.press(*dice.choices([*KEYS, *KEYS, *OTHERS], k=5))
            await point(bedside, dice)
            if dice.random() < 0.2:
                size = dice.choice(SIZES)
                await bedside.pilot.resize_terminal(*size)
            if dice.random() < 0.3:
                bedside.now_s += 2
                newest = thinned(dice.choice(states), dice)
                await bedside.tick(snapshots.newer(newest, version=bedside.snapshot.version + 1))
            await bedside.pilot.pause()
            assert bedside.app.is_running
            width, height = bedside.app.size
            assert [strip.cell_length for strip in bedside.strips] == [width] * height
