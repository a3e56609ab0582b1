"""What the probe costs, measured here and now. ``make bench`` prints it, ``make bench ARGS=--write`` puts it into
docs/explanation/overhead.md. It takes about twenty minutes, and ten more where wandb, TensorBoard and trackio can be
installed beside (in environments of their own, in the user's cache folder; ``--no-peers`` leaves them out).

Everything is a ratio or a difference within one run, and a median over rounds in which the sides take turns, so that
a machine whose speed drifts drifts under both.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "explanation" / "overhead.md"

sys.path.insert(0, str(ROOT))
os.environ["OMP_NUM_THREADS"] = "1"

import disk
import load
import logs
import memory
import screen
import start
import torch
import training

torch.set_num_threads(1)

#: What there is to measure, and how; in a hurry in fewer rounds, and the training at its default ``every`` only.
SECTIONS: dict[str, Callable[[argparse.Namespace], str]] = {
    "training": lambda args: training.report(*((8, [10]) if args.quick else (20, [1, 10, 100]))),
    "logging": lambda args: logs.report(rounds=1 if args.quick else 3, peers=args.peers),
    "memory": lambda args: memory.report(rounds=1 if args.quick else 3),
    "disk": lambda _args: disk.report(steps=20_000),
    "start": lambda args: start.report(rounds=5 if args.quick else 25),
    "screen": lambda args: screen.report(quick=args.quick, peers=args.peers),
    "load": lambda args: load.report(seconds=20 if args.quick else 600),
}


def machine() -> str:
    return (
        f"Python {platform.python_version()}, torch {torch.__version__}, {os.cpu_count()} cores, "
        f"{platform.system()} {platform.machine()}.\n\n"
    )


def write(section: str, made: str) -> None:
    """Put a section's tables between its marks in the page."""
    before, begin, rest = PAGE.read_text().partition(f"<!-- measured: {section} -->\n")
    _, end, after = rest.partition("<!-- /measured -->\n")
    assert end, f"{PAGE} has no place for {section}"
    PAGE.write_text(before + begin + made + end + after)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=SECTIONS, help="measure one part")
    parser.add_argument("--quick", action="store_true", help="a fast look: fewer rounds, and every=10 only")
    parser.add_argument("--no-peers", dest="peers", action="store_false", help="run.log beside JSONL only")
    parser.add_argument("--write", action="store_true", help=f"put the tables into {PAGE.relative_to(ROOT)}")
    args = parser.parse_args()
    for section in [args.only] if args.only else SECTIONS:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
            os.environ["BEDSIDE_HOME"] = home
            made = machine() + SECTIONS[section](args)
            time.sleep(2)  # the last recorder closes its file
        print(f"## {section}\n\n{made}", flush=True)
        if args.write:
            write(section, made)


if __name__ == "__main__":
    main()
