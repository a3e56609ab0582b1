"""The screen in real terminals of few colours, and what it reads when it opens."""

from __future__ import annotations

import json
import os
import re
import signal
import sys

import pytest
from world import eventually

from monitor.record.naming import run_path
from monitor.record.runfile import Changes, RunFile
from probe import packing, wire

COLOURS = re.compile(r"\x1b\[[\d;]*?\b(38|48);([25]);")


def colours(screen):
    """Which ways of naming a colour are on the screen: 2 by its parts, 5 by its number among 256."""
    return {way for _, way in COLOURS.findall(screen._tmux("capture-pane", "-p", "-e"))}


def watch(screen, name, term):
    screen._tmux("send-keys", "-l", f"COLORTERM= TERM={term} {sys.executable} -m monitor watch {name}")
    screen.press("Enter")


@pytest.fixture
def sick(world):
    """A training whose loss is NaN from step 150 on."""
    world.train("--steps", "100000", "--pace-s", "0.01", "--nan-at", "150", "--name", "sick")
    eventually(world.live_entries)


def test_at_80x24_with_16_colours_the_screen_says_what_is_wrong_since_when_and_which_key(sick, terminal):
    screen = terminal(80, 24)
    watch(screen, "sick", "screen")

    shown = screen.shows("✗ non-finite since step", "⏎ look", "a seen", "│")

    assert re.search(r"non-finite since step 1[45]\d", shown), shown
    assert colours(screen) == set()


def test_the_overfitting_demo_at_80x24_says_what_is_wrong_since_when_and_which_key_with_no_key_pressed(
    world, terminal
):
    pytest.importorskip("sklearn", reason="the demo's data ship in scikit-learn: pip install 'bedside[demo]'")
    screen = terminal(80, 24)
    screen.run("demo", "--fault", "overfit")
    screen.shows("grad norm")  # step by step: a busy machine takes its time for each
    eventually(lambda: re.search(r"step (9\d|\d{3}) ", screen.screen()), screen.screen)

    shown = screen.shows("overfitting since step", "validation loss", "⏎ look", "d stop", "a seen")

    assert re.search(r"overfitting since step \d+: validation loss [\d.]+, up \d+% from its best [\d.]+", shown), (
        shown
    )
    screen.press("q")
    (entry,) = world.live_entries()
    os.kill(json.loads(entry.read_text())["pid"], signal.SIGTERM)  # the demo's training, which would go on


def test_a_terminal_of_256_colours_is_sent_no_others(sick, terminal):
    screen = terminal(80, 24)
    watch(screen, "sick", "screen-256color")

    screen.shows("✗ non-finite since step", "vitals")

    assert colours(screen) == {"5"}


def test_enter_goes_to_the_step_and_enter_again_says_what_the_rule_looks_for(sick, terminal):
    screen = terminal(120, 40)
    screen.run("watch", "sick")
    screen.shows("✗ 1", "→")

    screen.press("Enter")
    screen.shows("held")
    screen.press("Enter")

    screen.shows("✗ critical  since step", "any other key closes", "Fires")


def test_a_command_that_the_config_file_misspells_is_refused_with_the_nearest(world, terminal):
    world.home.mkdir(parents=True, exist_ok=True)
    (world.home / "config.toml").write_text('[keys]\nacknowlege = "x"\n')
    screen = terminal(120, 40)
    screen.run("watch")

    screen.shows("did you mean 'acknowledge'?")


def test_coming_back_tells_what_happened_meanwhile(world, terminal):
    world.train("--steps", "100000", "--pace-s", "0.01", "--name", "long")
    eventually(world.live_entries)
    screen = terminal(120, 40)
    screen.run("watch", "long")
    screen.shows("RUN", "long", "train")
    screen.press("l", "q")
    screen.shows("the training goes on")
    (look,) = (world.home / "screen").glob("*.json")
    # As if that had been an hour ago.
    look.write_text(re.sub(r'"time_s":(\d+)', lambda found: f'"time_s":{int(found[1]) - 3600}', look.read_text()))

    screen.run("watch", "long")

    shown = screen.shows("since you left 1h ago:", "no new alerts", "loss linear")
    assert re.search(r"since you left 1h ago: [\d,]+ steps · train [\d.]+ → [\d.]+", shown)


def recorded(world, monkeypatch, run_id, name, started_s):
    """The file of a run that is over, as its recorder leaves it."""
    monkeypatch.setenv("BEDSIDE_HOME", str(world.home))
    hello = wire.Hello(schema=1, run_id=run_id, name=name, started_s=started_s)
    loss = wire.Column(values=packing.pack_floats([0.5] * 900))
    batch = wire.Batch(
        seq=1, start=1, rows=900, times_s=packing.pack_floats([started_s] * 900), scalars={"train/loss": loss}
    )
    meta = {"hello": wire.encode(hello), "goodbye": wire.encode(wire.Goodbye(time_s=started_s, reason="finished"))}
    file = RunFile.create(run_path(hello))
    file.write(Changes(batches=[(batch, wire.encode(batch))], meta=meta))
    file.close()


def test_another_run_of_the_list_is_opened_on_the_same_screen_and_left_again(world, terminal, monkeypatch):
    recorded(world, monkeypatch, "aaaaaaaa", "elder", 1.7e9)
    recorded(world, monkeypatch, "bbbbbbbb", "younger", 1.8e9)
    screen = terminal(120, 40)
    screen.run("watch", "younger")
    screen.shows("DONE  younger", "elder")

    screen.press("6", "j", "Enter")
    screen.shows("DONE  elder", "bksp: back to the run before", "step 900")
    screen.press("BSpace")
    screen.shows("DONE  younger")
