"""The home folder is deleted, replaced or out of reach for a while: at the end the run file holds every step."""

import contextlib
import os
import shutil
import signal
import sqlite3
import time

import numpy as np
import pytest
import toy_trainer
from toy_run import only, points, until

from monitor.record.runfile import read_run
from probe import wire

STEPS = 3000
GONE = "was deleted or replaced; it is written again, with all of the run."


def remove(folder):
    """At once: the recorder makes in it again what is gone of it."""
    shutil.rmtree(folder.rename(folder.with_name("removed")))


def away(file):
    remove(file.parent.parent)


def away_with_the_folder(file):
    remove(file.parent)


def away_alone(file):
    file.unlink()


def replaced_by_a_copy(file):
    copy = file.with_name("copy")
    with contextlib.closing(sqlite3.connect(file)) as from_, contextlib.closing(sqlite3.connect(copy)) as to:
        from_.backup(to)
    copy.replace(file)


def whole(toy_run) -> list[wire.Message]:
    """The messages of the file, which must have all that was trained and nothing beside it."""
    messages = list(read_run(toy_run.file()))
    steps, values = points(messages, "grad/norm")
    np.testing.assert_array_equal(steps, np.arange(1, STEPS + 1))
    np.testing.assert_array_equal(values, [toy_trainer.value("grad/norm", step) for step in range(1, STEPS + 1)])
    alerts = [alert.id for alert in messages if isinstance(alert, wire.Alert)]
    assert alerts == list(range(1, len(alerts) + 1))
    assert [a.raised_step for a in messages if isinstance(a, wire.Alert) and a.rule == "non-finite"] == [50]
    assert only(messages, wire.Goodbye).reason == "finished"
    assert list((toy_run.home / "runs").iterdir()) == [toy_run.file()]
    return messages


def notices(messages) -> list[str]:
    return [message.text for message in messages if isinstance(message, wire.Notice)]


@pytest.mark.parametrize(
    "goes",
    [
        away,
        pytest.param(away_with_the_folder, marks=pytest.mark.slow),
        pytest.param(away_alone, marks=pytest.mark.slow),
        pytest.param(replaced_by_a_copy, marks=pytest.mark.slow),
    ],
)
def test_a_run_file_that_is_deleted_or_replaced_is_written_again_with_all_of_the_run(toy_run, goes):
    process = toy_run.train(STEPS, "finished", 0.002)
    first = toy_run.wait_live()
    until(lambda: len(toy_run.committed_steps()) > 600)
    goes(toy_run.file())
    second = until(lambda: len(toy_run.committed_steps()) > 1200 and toy_run.live())
    process.communicate(timeout=30)
    toy_run.wait_recorder_gone()

    assert notices(whole(toy_run)) == [f"The run file {toy_run.file()} {GONE}"]
    assert second == first


# ------------------------------------------------------------------------------------------------- out of reach


@pytest.fixture
def as_anybody() -> list[str]:
    """What runs a program so that permissions hold for it, too."""
    if os.geteuid() != 0:
        return []
    if not (setpriv := shutil.which("setpriv")):
        pytest.skip("permissions hold for root only without its capabilities, and there is no setpriv to take them")
    return [setpriv, "--bounding-set=-dac_override,-dac_read_search"]


@pytest.fixture(
    params=[pytest.param(["."], id="home"), pytest.param(["runs", "live"], id="its folders", marks=pytest.mark.slow)]
)
def out_of_reach(toy_run, request):
    """``out_of_reach(True)`` takes all permissions from the home or its folders, ``False`` gives them back."""
    folders = [toy_run.home / name for name in request.param]

    def change(is_away: bool) -> None:
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o000 if is_away else 0o700)

    yield change
    change(False)


def test_a_home_out_of_reach_at_the_start_gets_the_whole_run_when_it_comes_back(toy_run, out_of_reach, as_anybody):
    out_of_reach(True)
    process = toy_run.train(STEPS, "finished", 0.003, under=as_anybody)
    warning = process.stderr.readline()
    time.sleep(2.0)
    out_of_reach(False)
    live = until(lambda: (found := toy_run.live()) and found.file and found)
    process.communicate(timeout=30)
    toy_run.wait_recorder_gone()

    first, second = notices(whole(toy_run))
    assert first in warning
    assert first.startswith(f"This run is not on disk: {toy_run.file()} cannot be written (")
    assert second == f"The run file {toy_run.file()} can be written now, with what was kept in memory."
    assert live.file == str(toy_run.file())


def test_a_recorder_that_is_replaced_while_home_is_out_of_reach_goes_on_in_the_file_later(
    toy_run, out_of_reach, as_anybody
):
    process = toy_run.train(STEPS, "finished", 0.003, under=as_anybody)
    first = toy_run.wait_live()
    until(lambda: len(toy_run.committed_steps()) > 600)
    out_of_reach(True)
    os.kill(first.recorder_pid, signal.SIGKILL)
    assert process.stderr.readline().startswith("probe WARNING This run is not on disk: ")
    time.sleep(2.0)
    out_of_reach(False)
    second = until(
        lambda: (live := toy_run.live()) and live.recorder_pid != first.recorder_pid and live.file and live
    )
    process.communicate(timeout=30)
    toy_run.wait_recorder_gone()

    assert [text.partition(" ")[0] for text in notices(whole(toy_run))] == ["This", "The"]
    assert second.file == first.file
