"""attach(notify=...): the line for the shell comes to the recorder's environment, and a mistake is said at once."""

import os
import sys

import pytest
import torch

import probe
from probe.launcher import Launcher


def test_what_attach_is_given_is_handed_to_the_sender(senders):
    model = torch.nn.Linear(2, 2)
    probe.attach(model, torch.optim.SGD(model.parameters(), lr=0.1), notify="notify-send x")

    assert senders.last.notify == "notify-send x"


def test_a_function_is_refused_with_what_to_give_instead():
    model = torch.nn.Linear(2, 2)

    with pytest.raises(probe.ProbeError, match="a line for the shell is needed"):
        probe.attach(model, torch.optim.SGD(model.parameters(), lr=0.1), notify=print)


@pytest.mark.parametrize(("notify", "expected"), [("mine", "mine"), ("", ""), (None, "everybody's")])
def test_it_takes_the_place_of_the_environments_and_is_no_argument(notify, expected, monkeypatch, tmp_path):
    told = tmp_path / "told"
    program = tmp_path / "program.py"
    program.write_text(
        f"import os, sys; open({str(told)!r}, 'w').write(os.environ['BEDSIDE_NOTIFY'] + repr(sys.argv))"
    )
    monkeypatch.setenv("BEDSIDE_NOTIFY", "everybody's")
    monkeypatch.setattr("probe.launcher._program", lambda: program)
    launcher = Launcher(list, notify=notify)

    assert launcher.poll()
    launcher.close()

    assert told.read_text().startswith(f"{expected}[")
    assert "mine" not in told.read_text().partition("[")[2]
    assert os.environ["BEDSIDE_NOTIFY"] == "everybody's"
    assert sys.executable
