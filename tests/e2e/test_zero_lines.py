"""A plain script, started before anybody thought of Bedside: entered, steered, left again, and equal to its twin."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time

import pytest
from unprepared import bedside, messages, recorded
from world import HERE, eventually

from probe import wire

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="a running process can be entered on Linux only")


class Script:
    """``python train.py`` in a folder of its own. It has made some steps."""

    def __init__(self, world, *words):
        self.folder = world.folder / f"script-{len(world.started)}"
        self.folder.mkdir()
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "plain_script.py"), *map(str, words)],
            env=world.env, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        world.started.append(self.process)
        assert self.process.stdout.readline().startswith("accuracy")

    def result(self):
        """Its last step, and a digest of its weights and its random state."""
        out, err = self.process.communicate(timeout=300)
        assert (self.process.returncode, err) == (0, "")
        return out.splitlines()[-1].split()

    def end(self):
        (self.folder / "stop").touch()
        return self.result()


@pytest.fixture
def script(world):
    return Script(world)


def attach(world, script):
    """The run's id."""
    status, out, err = bedside(world, "attach", script.process.pid)
    assert (status, err) == (0, "")
    return re.search(r"bedside watch (\S+) shows it", out)[1]


def detach(world, script):
    status, out, err = bedside(world, "detach", script.process.pid)
    assert (status, err) == (0, "")
    return out


def halve(world, run_id):
    """The first step that the halved rate acted on."""
    status, out, err = bedside(world, "do", run_id, "lr", "x0.5", "--json")
    assert (status, err) == (0, "")
    return json.loads(out)["applied"]["from_step"]


def test_a_plain_script_is_on_the_screen_has_its_rate_halved_and_is_left_equal_to_its_twin(world, terminal, script):
    screen = terminal(120, 40)
    began = time.monotonic()
    screen.run("attach", str(script.process.pid), "&&", sys.executable, "-m", "monitor", "watch")
    screen.shows("RUN", "plain_script", "train")
    on_screen_s = time.monotonic() - began
    (entry,) = world.live_entries()
    from_step = halve(world, entry.stem)
    screen.shows("x0.5")
    eventually(lambda: recorded(world, "lr/0")[-1][0] > from_step + 50)
    said = detach(world, script)
    (goodbye,) = messages(world, wire.Goodbye)
    screen.shows("DONE")
    result = script.end()

    twin = Script(world, from_step, goodbye.step, result[0])

    print(f"on the screen {on_screen_s:.1f} s after the command was typed")
    print(said)
    assert goodbye.reason == "detached"
    assert 0 < from_step < goodbye.step < int(result[0])
    assert f"with it ends: learning rate all groups x0.5; after step {goodbye.step} it is the script's own" in said
    assert twin.result() == result


def test_a_rate_that_was_halved_is_the_scripts_own_for_whoever_attaches_again(world, script):
    first = attach(world, script)
    halve(world, first)
    detach(world, script)
    second = attach(world, script)

    said = json.loads(bedside(world, "do", second, "lr", "x1", "--json")[1])

    assert second != first
    assert said["applied"]["groups"]["0"]["effective"] == said["applied"]["groups"]["0"]["schedule"]


def test_a_training_that_is_paused_goes_on_when_the_probe_is_taken_off(world, script):
    run_id = attach(world, script)
    assert bedside(world, "do", run_id, "pause")[0] == 0

    said = detach(world, script)
    held_at = messages(world, wire.Goodbye)[0].step
    last_step, *_ = result = script.end()

    assert "with it ends: the pause" in said
    assert int(last_step) >= held_at
    assert Script(world, 1, 0, last_step).result() == result
