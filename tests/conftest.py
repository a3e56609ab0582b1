"""For all tests: what they start can be interrupted, whoever started pytest; and the longest files come first."""

import signal
from pathlib import Path

# A shell that starts pytest in the background lets it ignore SIGINT, nohup SIGHUP, and every program that it starts
# would, too.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

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


def pytest_collection_modifyitems(items):
    here = Path(__file__).parent
    ranks = {here / name: rank for rank, name in enumerate(LONGEST)}
    items.sort(key=lambda item: ranks.get(item.path, len(LONGEST)))
