"""Many training processes' worth of senders in one process, each with a recorder of its own.

usage: many_trainers.py COUNT STEPS
Each trains STEPS steps, then all wait to be ended. The run of number n is ``%08x`` of n.
"""

import signal
import sys
import time

import toy_trainer


def main() -> None:
    count, steps = int(sys.argv[1]), int(sys.argv[2])
    senders = [toy_trainer.start(f"{number:08x}") for number in range(count)]
    for step in range(1, steps + 1):
        for sender in senders:
            sender.put(toy_trainer.Row(step, time.time()))
        time.sleep(0.02)
    print("trained", flush=True)
    signal.pause()


if __name__ == "__main__":
    main()
