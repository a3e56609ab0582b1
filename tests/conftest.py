"""For all tests: what they start runs on one thread and can be interrupted, whoever started pytest; longest first."""

import os
import signal
from pathlib import Path

import pytest
import zmq

# Several tests go at a time: more threads would only wait for each other.
os.environ["OMP_NUM_THREADS"] = "1"

# A shell that starts pytest in the background lets it ignore SIGINT, nohup SIGHUP, and every program that it starts
# would, too.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

# A test that fails leaves its sockets to the garbage collector, and a context that is collected together with them
# waits for them for ever, in whatever thread the collection runs: it no longer knows them. So it waits for none.
zmq.Context.__del__ = lambda context: None

#: Half a minute to two minutes each: none of them is to begin when the others are done.
LONGEST = [
    "probe/test_control_ranks.py",
    "e2e/test_demo.py",
    "examples/test_examples.py",
    "probe/test_control_process.py",
    "e2e/test_do_command.py",
    "e2e/test_run_command.py",
    "e2e/test_attach_command.py",
    "e2e/test_first_breath.py",
    "e2e/test_attach_refusals.py",
    "faults/test_ssh.py",
    "faults/test_home_away.py",
    "e2e/test_interventions_on_screen.py",
    "e2e/test_screen_terminal.py",
    "probe/test_job.py",
    "probe/test_rates.py",
    "e2e/test_reflexes_of_a_run.py",
    "e2e/test_zero_lines.py",
    "app/test_screen_monkey.py",
    "faults/test_recorder_faults.py",
]


#: Seconds after which a slow test stands still. For the others it is in pyproject.toml.
SLOW_S = 1800


def pytest_collection_modifyitems(items):
    for item in items:
        if item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.timeout(SLOW_S))
    here = Path(__file__).parent
    ranks = {here / name: rank for rank, name in enumerate(LONGEST)}
    items.sort(key=lambda item: ranks.get(item.path, len(LONGEST)))
