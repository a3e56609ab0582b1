"""Peak memory of the training process with and without the probe: ``python memory.py probe|plain`` is one of them.

Each is a fresh process that trains the small CNN; the high-water mark of its resident memory is the kernel's own.
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
from pathlib import Path

BAR_MB = 40
_STEPS = 600


def report(rounds: int) -> str:
    from figures import say, table, verdict

    peaks: dict[str, list[float]] = {"plain": [], "probe": []}
    for turn in range(rounds):
        say(f"memory, round {turn + 1}")
        for kind, found in peaks.items():
            found.append(_peak_mb(kind))
    plain, probed = (statistics.median(found) for found in peaks.values())
    row = [f"{plain:.0f} MB", f"{probed:.0f} MB", f"{probed - plain:.0f} MB", f"{BAR_MB} MB"]
    return table(("without the probe", "with it", "added", "bar", ""), [[*row, verdict(probed - plain, BAR_MB)]])


def _peak_mb(kind: str) -> float:
    found = subprocess.run([sys.executable, __file__, kind], check=True, capture_output=True, text=True)
    return float(found.stdout) / 1e6


def train(kind: str) -> None:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    import torch
    from workloads import cnn

    torch.set_num_threads(1)
    training = cnn()
    if kind == "probe":
        import probe

        probe.attach(training.model, training.optimizer, name="bench")
    for _ in range(_STEPS):
        training.step()
    print(peak_bytes())


def peak_bytes() -> int:
    """Not ``getrusage`` on Linux: that one counts what the process that started this one had, too."""
    if sys.platform == "linux":
        (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
        return 1024 * int(line.split()[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    train(sys.argv[1])
