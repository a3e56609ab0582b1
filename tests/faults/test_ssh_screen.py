"""The live screen of a run on another machine, in a real terminal, through a real sshd."""

import shutil

import pytest
from sshd import SSH, SSHD, Sshd
from toy_run import until
from world import Terminal, World

pytestmark = pytest.mark.skipif(
    not (SSHD and SSH and shutil.which("tmux")), reason="needs apt-get install openssh-server tmux"
)


@pytest.fixture
def sshd(tmp_path, toy_run):
    server = Sshd(tmp_path, toy_run.home)
    server.start()
    yield server
    server.cut()


def test_the_screen_shows_a_run_there_through_a_cut_and_says_how_to_come_back(toy_run, sshd, tmp_path):
    here = World(tmp_path / "here")
    here.folder.mkdir()
    here.env["PATH"] = sshd.path
    toy_run.train(10_000_000, "wait", 0.01)
    toy_run.wait_live()
    terminal = Terminal(here, 120, 40)
    try:
        terminal.run("watch", "ssh://train-box/toy")
        terminal.shows("toy", "live")

        sshd.cut()
        terminal.shows("lost")
        sshd.start()
        terminal.shows_no_more("lost")
        steps = len(toy_run.committed_steps())
        until(lambda: len(toy_run.committed_steps()) > steps)
        terminal.press("q")

        terminal.shows("monitor closed; the training goes on (bedside watch ssh://train-box/toy to come back)")
    finally:
        terminal.close()
