"""What a cold start costs beyond the bare interpreter's, as wall time of a process from its start to its end."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from figures import figure, say, table, verdict

_BARE = [sys.executable, "-c", ""]
_COMMANDS = {
    "`import probe`": ([sys.executable, "-c", "import probe"], 50),
    "`bedside --help`": ([sys.executable, "-c", "from monitor.cli import main; main()", "--help"], 100),
}


def report(rounds: int) -> str:
    say("start")
    extra_ms: dict[str, list[float]] = {name: [] for name in _COMMANDS}
    for _ in range(rounds):
        bare_s = _seconds(_BARE)
        for name, (command, _) in _COMMANDS.items():
            extra_ms[name].append(1e3 * (_seconds(command) - bare_s))
    rows = []
    for name, (_, bar_ms) in _COMMANDS.items():
        found = figure(extra_ms[name])
        rows.append([name, f"{found:.0f}", f"{bar_ms}", verdict(found.median, bar_ms)])
    return table(("", "ms beyond the bare interpreter (95 %)", "bar", ""), rows)


def _seconds(command: list[str]) -> float:
    begin = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=Path(__file__).resolve().parents[2])
    return time.perf_counter() - begin
