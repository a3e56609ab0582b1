"""A training whose whole process is stopped for a while and goes on: a real SIGSTOP, as Ctrl-Z, a scheduler's
suspension or a container's pause give it."""

import os
import signal
import subprocess
import sys
import time

from toy_run import ROOT

from monitor.record.runfile import read_run
from probe import wire

#: Twenty steps, then it waits for a line at one place, and trains on. Its patience is 3 s, and it looks each second.
TRAINING = """
import sys, torch, probe
from probe.capture import silence
silence.PATIENCE_S, silence._STOPPED_S = 3.0, 2.0
model = torch.nn.Linear(4, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
run = probe.attach(model, optimizer)
for step in range(1, 22):
    if step == 21:
        print(run.run_id, flush=True)
        sys.stdin.readline()
    optimizer.zero_grad()
    model(torch.ones(2, 4)).pow(2).mean().backward()
    optimizer.step()
"""


def test_a_training_that_was_stopped_and_goes_on_has_not_hung(toy_run):
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", TRAINING]
    process = subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    toy_run.processes.append(process)
    toy_run.run_id = process.stdout.readline().strip()
    toy_run.wait_live()

    os.kill(process.pid, signal.SIGSTOP)
    time.sleep(4.0)
    os.kill(process.pid, signal.SIGCONT)
    time.sleep(1.0)  # it looks at once
    process.communicate("\n")
    toy_run.wait_recorder_gone()

    batches = [message for message in read_run(toy_run.file()) if isinstance(message, wire.Batch)]
    assert batches[-1].start + batches[-1].rows - 1 == 21
    assert [fact for batch in batches for fact in batch.facts if fact.name == "stalled"] == []
