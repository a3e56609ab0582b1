"""A training process without torch, for the screen: the real sender with as many steps a second as it is told.

usage: screen_feed.py RUN_ID STEPS_PER_S SECONDS PAUSE_S
Every quantity moves at every step; layers and classes come ten times a second. It begins with 5,000 steps at once, as
a run that is watched after its first minutes, and lives on for PAUSE_S after its last step.
"""

import math
import os
import random
import sys
import time

from probe import wire
from probe.sender import Sender

LAYERS, CLASSES, BEFORE = 40, 20, 5000
_random = random.Random(0)


class Row:
    """One step, as the probe hands it over."""

    def __init__(self, step: int, with_tables: bool) -> None:
        self.step, self.time_s, self.with_tables = step, time.time(), with_tables

    def ready(self) -> bool:
        return True

    def write(self, batch) -> None:
        noise = _random.gauss
        loss = (0.4 + 2 * math.exp(-self.step / 20_000)) * (1 + noise(0, 0.07))
        batch.row(
            self.step,
            self.time_s,
            {
                "train/loss": loss,
                "train/accuracy": 1 - loss / 3,
                "grad/norm": math.exp(noise(0, 0.3)),
                "grad/norm_applied": 1.0,
                "lr/0": 0.1 * (1 + math.cos(self.step / 50_000)),
                "rate/samples_per_s": 5000 + noise(0, 300),
                "time/step_s": 0.02 + noise(0, 0.001),
                "time/data_s": 0.002 + abs(noise(0, 0.001)),
                "memory/allocated_bytes": 1e10 + noise(0, 1e8),
                "user/reward": noise(0, 1),
            },
        )
        if self.with_tables:
            batch.row(self.step, self.time_s, {"val/loss": loss * 1.1, "val/accuracy": 1 - loss / 2.8})
            names = ("grad_norm", "weight_norm", "update_ratio", "act_std")
            batch.layers(self.step, {name: [math.exp(noise(-3, 0.5)) for _ in range(LAYERS)] for name in names})
            right = [_random.randrange(100) for _ in range(CLASSES)]
            batch.classes(self.step, "val", right, [100] * CLASSES, right)


def main() -> None:
    run_id, per_s, seconds, pause_s = sys.argv[1], float(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4])
    hello = wire.Hello(
        schema=wire.SCHEMA_VERSION,
        run_id=run_id,
        name=f"feed-{per_s:.0f}",
        started_s=time.time(),
        pid=os.getpid(),
        model="feed",
        total_steps=BEFORE + int(per_s * seconds),
        groups=[wire.Group("0", "SGD", 1)],
        layers=[wire.Layer(f"block.{i}", "Linear", 10) for i in range(LAYERS)],
    )
    sender = Sender(hello, heartbeat=lambda: wire.Heartbeat(time_s=time.time()))
    sender.start()
    begun, step = time.monotonic(), 0
    every = max(int(per_s / 10), 1)
    while (gone := time.monotonic() - begun) < seconds:
        for _ in range(BEFORE + int(gone * per_s) - step):
            step += 1
            sender.put(Row(step, step % every == 0))
        time.sleep(0.005)
    time.sleep(pause_s)
    sender.close(wire.Goodbye(time_s=time.time(), reason="finished", step=step))


if __name__ == "__main__":
    main()
