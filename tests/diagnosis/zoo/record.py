"""Records trainings of the zoo, each into a run file and a file that says what became of it.

    python -m tests.diagnosis.zoo.record FOLDER PART SEEDS WORKER WORKERS

records those that are not in the folder yet and whose turn it is, WORKER of WORKERS. A recording's name is a hash of
the case and of the zoo's own sources.
"""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.diagnosis.zoo.sick import Case, cases

if TYPE_CHECKING:
    from tests.diagnosis.zoo.loop import Outcome

ROOT = Path(__file__).resolve().parents[3]
SOURCES = b"".join((Path(__file__).parent / f"{name}.py").read_bytes() for name in ("data", "networks", "loop"))


def key(case: Case) -> str:
    """The name of the recording's files."""
    made_of = f"{case.recipe}{case.fault}{case.seed}{inspect.getsource(type(case.fault))}"
    return hashlib.sha256(made_of.encode() + SOURCES).hexdigest()[:16]


def recorded(case: Case, folder: Path) -> tuple[list[Path], Outcome] | None:
    """The run files of a case in the order of their steps, and its outcome; None if it has not been recorded."""
    from tests.diagnosis.zoo.loop import Outcome

    said = folder / f"{key(case)}.json"
    if not said.exists():
        return None
    return sorted(folder.glob(f"{key(case)}.*.bedside")), Outcome(**json.loads(said.read_text()))


def record_all(folder: Path, part: str, seeds: int, workers: int) -> None:
    """Record what is missing, in so many processes."""
    folder.mkdir(parents=True, exist_ok=True)
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, "-m", "tests.diagnosis.zoo.record", str(folder), part, str(seeds)]
    running = [
        subprocess.Popen(["nice", *command, str(worker), str(workers)], env=env, cwd=ROOT)
        for worker in range(workers)
    ]
    try:
        failed = [process.wait() for process in running]
    finally:
        for process in running:  # after Ctrl-C, too: it went to all of them, and they tidy up
            process.wait()
    if any(failed):
        raise SystemExit("a recording failed; what it said stands above")


def record(case: Case, folder: Path) -> None:
    from tests.diagnosis.zoo.loop import train

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        os.environ["BEDSIDE_HOME"] = home
        outcome = train(case)
        files = finished(Path(home))
        for number, file in enumerate(files):
            shutil.move(file, folder / f"{key(case)}.{number}.bedside")
    (folder / f"{key(case)}.json").write_text(json.dumps(dataclasses.asdict(outcome)))


def finished(home: Path, patience_s: float = 60.0) -> list[Path]:
    """The run files, once their recorders have closed them."""
    deadline = time.monotonic() + patience_s
    while list((home / "live").glob("*.json")) or list((home / "runs").glob("*-wal")):
        if time.monotonic() > deadline:
            raise TimeoutError(f"a recorder has not ended within {patience_s:.0f} s")
        time.sleep(0.05)
    return sorted((home / "runs").glob("*.bedside"), key=lambda file: file.stat().st_mtime_ns)


def main(folder: str, part: str, seeds: str, worker: str, workers: str) -> None:
    import torch

    torch.set_num_threads(1)
    missing = [case for case in cases(part, int(seeds)) if recorded(case, Path(folder)) is None]
    for case in missing[int(worker) :: int(workers)]:
        print(f"recording {case.part} {case.name}", file=sys.stderr, flush=True)
        record(case, Path(folder))


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except KeyboardInterrupt:
        sys.exit(130)
