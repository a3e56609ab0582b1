"""``bedside demo``: a real training on real data, in a child process, with the monitor on it.

The training is ``examples/demo/train.py``, an ordinary script with the probe in it. It needs torch, torchvision
and scikit-learn, which the monitor itself does not: they come with ``pip install 'bedside[demo]'``.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

FAULTS = ("dead-relu", "imbalance", "lr-too-high", "lr-too-low", "nan", "overfit")
NEEDED = ("torch", "torchvision", "sklearn")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command; all but ``--headless`` go to the training script."""
    parser.add_argument("--fault", choices=FAULTS, help="make the training sick, for a real cause")
    parser.add_argument(
        "--headless", action="store_true", help="print the run's events as lines instead of the screen"
    )
    parser.add_argument("--model", choices=("simplecnn", "vgg11_bn"), default="simplecnn")
    parser.add_argument("--data", choices=("digits", "cifar10"), default="digits", help="digits need no network")
    parser.add_argument("--data-root", metavar="DIR", help="where CIFAR-10 is, or is put")
    parser.add_argument("--epochs", type=int, metavar="N", help="how many passes over the training set")
    parser.add_argument("--seed", type=int, default=0)


def run(
    args: argparse.Namespace,
    *,
    find: Callable[[int], str | None],
    watch: Callable[[str], int],
    tail: Callable[[str], int],
) -> int:
    """Start the training and watch it. Returns the exit status.

    ``find`` gives the id of the live run of a process, ``watch`` and ``tail`` show a run and return when the
    person leaves or the run ends. The training ends by itself; leaving the screen does not touch it.
    """
    absent = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if absent:
        print(f"bedside demo: {', '.join(absent)} not installed here; pip install 'bedside[demo]'", file=sys.stderr)
        return 2
    if (refusal := unfit(args)) is not None:
        print(f"bedside demo: {refusal}", file=sys.stderr)
        return 2
    if args.data == "cifar10":
        print("bedside demo: CIFAR-10 is fetched first, unless it is on disk", file=sys.stderr)
    headless = args.headless or not sys.stdout.isatty()
    with tempfile.TemporaryFile() as output:
        training = subprocess.Popen(
            command(args), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
        if not headless:
            print("The demo's training is starting; the screen opens as soon as it is on the record.", flush=True)
        try:
            run_id = wait_for_run(training, find)
            if run_id is None:
                return explain_failure(training, output.fileno(), "did not start", 2)
            status = tail(run_id) if headless else watch(run_id)
            if headless and training.wait() != 0:
                return explain_failure(training, output.fileno(), "failed", 1)
        except KeyboardInterrupt:
            stop(training)
            return 128 + signal.SIGINT
    if not headless and training.poll() is None:
        print(f"The demo's training goes on and ends by itself; `{program()}` brings the screen back.")
    return status


def unfit(args: argparse.Namespace) -> str | None:
    """What is wrong with the options together, or None."""
    if args.fault and (args.data, args.model) != ("digits", "simplecnn"):
        return "--fault makes the small CNN on the digits sick; leave out --data and --model"
    if args.epochs is not None and args.epochs < 1:
        return f"--epochs {args.epochs}: one epoch is the least"
    return None


def command(args: argparse.Namespace) -> list[str]:
    """The training script with the arguments that are its own."""
    options = {"--fault": args.fault, "--data-root": args.data_root, "--epochs": args.epochs}
    given = [part for name, value in options.items() if value is not None for part in (name, str(value))]
    fixed = ["--model", args.model, "--data", args.data, "--seed", str(args.seed)]
    return [sys.executable, str(script()), *fixed, *given]


def script() -> Path:
    """The training script: beside the package in a wheel, in ``examples/`` in a checkout."""
    package = Path(__file__).resolve().parents[1]
    packed = package / "_examples" / "demo" / "train.py"
    return packed if packed.exists() else package.parent / "examples" / "demo" / "train.py"


def program() -> str:
    """What starts Bedside from the current folder, also where its environment is not active."""
    if shutil.which("bedside"):
        return "bedside"
    beside = Path(sys.executable).with_name("bedside")
    if not beside.exists():
        return f"{shlex.quote(sys.executable)} -m monitor"
    here = Path.cwd()
    return shlex.quote(str(beside.relative_to(here) if beside.is_relative_to(here) else beside))


def wait_for_run(training: subprocess.Popen[bytes], find: Callable[[int], str | None]) -> str | None:
    """The id of the training's run as soon as it is live; None if the training ended before."""
    while training.poll() is None:
        run_id = find(training.pid)
        if run_id is not None:
            return run_id
        time.sleep(0.05)
    return find(training.pid)


def explain_failure(training: subprocess.Popen[bytes], output: int, what: str, status: int) -> int:
    """Say what the training said last, and return ``status``. Its own errors are a line; else all is shown."""
    stop(training)
    os.lseek(output, 0, os.SEEK_SET)
    said = b"".join(iter(lambda: os.read(output, 65536), b"")).decode(errors="replace").strip()
    last = said.splitlines()[-1] if said else f"it ended with status {training.returncode} and said nothing"
    if training.returncode == 0:
        what = "ran, but its run is not to be found"
    print(f"bedside demo: the training {what}: {last.removeprefix('error: ')}", file=sys.stderr)
    if said not in (last, "") and not last.startswith("error: "):
        print(said, file=sys.stderr)
    return status


def stop(training: subprocess.Popen[bytes]) -> None:
    """End the training if it still runs, gently first."""
    if training.poll() is not None:
        return
    training.terminate()
    try:
        training.wait(timeout=5)
    except subprocess.TimeoutExpired:
        training.kill()
        training.wait()
