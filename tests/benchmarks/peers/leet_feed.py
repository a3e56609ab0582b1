"""A run of wandb, offline, for its screen to show: ``python leet_feed.py FOLDER STEPS_PER_S``. Needs wandb.

Ten values a step, one of them a mark whose digits differ from step to step. A line for each step is the monotonic
clock at which it was logged, its mark and those of the steps to come. The steps come at irregular times, as those of
``step_feed.py``.
"""

from __future__ import annotations

import os
import random
import sys
import time

import wandb

#: A mark of one step and of so many after it: whatever comes first on the screen, that step has been shown.
_TO_COME = 60


def main() -> None:
    folder, per_s = sys.argv[1], float(sys.argv[2])
    run = wandb.init(project="feed", mode="offline", dir=folder, settings=wandb.Settings(silent=True))
    dice = random.Random(0)
    marks = [dice.randrange(10_000_000, 99_999_999) for _ in range(_TO_COME)]
    while os.getppid() != 1:
        time.sleep(dice.uniform(0.6, 1.4) / per_s)
        print(time.monotonic(), *marks, flush=True)
        run.log({**{f"user/{i}": dice.gauss(0, 1) for i in range(9)}, "mark": marks.pop(0)})
        marks.append(dice.randrange(10_000_000, 99_999_999))


if __name__ == "__main__":
    main()
