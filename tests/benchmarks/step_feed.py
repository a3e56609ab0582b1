"""A training of a hundred steps, each at a time of its own, that prints when each was: for how old the screen is.

usage: step_feed.py RUN_ID
A line is the step and the monotonic clock at which it was handed to the real sender. The steps are 0.3 to 0.7 s
apart, so that they meet the sender's and the screen's own rhythm at every phase.
"""

import os
import random
import sys
import time

from probe import wire
from probe.sender import Sender

STEPS = 100


class Row:
    """One step, as the probe hands it over."""

    def __init__(self, step: int) -> None:
        self.step, self.time_s = step, time.time()

    def ready(self) -> bool:
        return True

    def write(self, batch) -> None:
        batch.row(self.step, self.time_s, {"train/loss": 1 / self.step, "time/step_s": 0.5})


def main() -> None:
    hello = wire.Hello(
        schema=wire.SCHEMA_VERSION,
        run_id=sys.argv[1],
        name="steps",
        started_s=time.time(),
        pid=os.getpid(),
        total_steps=STEPS,
    )
    sender = Sender(hello, heartbeat=lambda: wire.Heartbeat(time_s=time.time()))
    sender.start()
    dice = random.Random(0)
    for step in range(1, STEPS + 1):
        time.sleep(dice.uniform(0.3, 0.7))
        print(step, time.monotonic(), flush=True)
        sender.put(Row(step))
    sender.close(wire.Goodbye(time_s=time.time(), reason="finished", step=STEPS))


if __name__ == "__main__":
    main()
