"""The proof that the alerts are right. ``make diagnosis`` prints its tables, ``make diagnosis ARGS=--write`` puts
them into docs/explanation/diagnosis.md.

The trainings of the zoo are recorded first, which takes about fifteen minutes for one seed; with ``--recordings
FOLDER`` they are kept there, and are not recorded again. ``CORPUS=FOLDER`` adds labelled logs of real runs.
"""

from __future__ import annotations

import argparse
import functools
import os
import platform
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.diagnosis import corpus, published
from tests.diagnosis.zoo import tables
from tests.diagnosis.zoo.judged import Judged, judged
from tests.diagnosis.zoo.record import record_all
from tests.diagnosis.zoo.sick import PARTS

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "explanation" / "diagnosis.md"
#: Two, however many cores there are: step times are part of what is judged.
WORKERS = 2


@functools.cache
def recordings(folder: Path, seeds: int) -> dict[str, list[Judged]]:
    """The zoo's parts, recorded where they are not yet, and judged."""
    for part in PARTS:
        record_all(folder, part, seeds, WORKERS)
    return {part: list(judged(part, seeds, folder)) for part in PARTS}


def zoo(args: argparse.Namespace) -> str:
    """The rules over the zoo."""
    parts = recordings(args.recordings, args.seeds)
    made = f"{machine()} Seeds of each training: {args.seeds}.\n\n{tables.overview(parts)}"
    for part, runs in parts.items():
        made += f"\n### Each fault, {part}\n\n{tables.faults(runs)}"
        made += f"\n### Missed, {part}\n\n{tables.missed(runs)}"
        made += f"\n### False alarms, {part}\n\n{tables.remarks(runs)}"
    return made


def peers(args: argparse.Namespace) -> str:
    """The published rules over the same recordings."""
    return published.report(recordings(args.recordings, args.seeds), args.recordings)


def real(args: argparse.Namespace) -> str:
    return corpus.report(args.corpus)


SECTIONS: dict[str, Callable[[argparse.Namespace], str]] = {"zoo": zoo, "published": peers, "corpus": real}


def machine() -> str:
    import torch

    return f"Python {platform.python_version()}, torch {torch.__version__}, {os.cpu_count()} cores."


def write(section: str, made: str) -> None:
    """Put a section's tables between its marks in the page."""
    before, begin, rest = PAGE.read_text().partition(f"<!-- measured: {section} -->\n")
    _, end, after = rest.partition("<!-- /measured -->\n")
    assert end, f"{PAGE} has no place for {section}"
    PAGE.write_text(before + begin + made + end + after)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=SECTIONS, help="make one part")
    parser.add_argument("--seeds", type=int, default=1, choices=(1, 2, 3), help="of each training")
    parser.add_argument("--recordings", type=Path, metavar="FOLDER", help="where recordings are kept")
    parser.add_argument("--corpus", type=Path, metavar="FOLDER", help="labelled logs of real runs")
    parser.add_argument("--write", action="store_true", help=f"put the tables into {PAGE.relative_to(ROOT)}")
    args = parser.parse_args()
    if args.only == "corpus" and args.corpus is None:
        parser.error("--only corpus needs a folder: make diagnosis CORPUS=FOLDER ARGS='--only corpus'")
    if args.corpus is not None and not (args.corpus / "manifest.tsv").is_file():
        parser.error(f"{args.corpus} is no folder of labelled logs: there is no manifest.tsv in it")
    if args.recordings is not None and args.recordings.exists() and not args.recordings.is_dir():
        parser.error(f"{args.recordings} is a file; --recordings takes a folder")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        args.recordings = (args.recordings or Path(folder)).resolve()
        make(args)


def make(args: argparse.Namespace) -> None:
    for section in [args.only] if args.only else SECTIONS:
        if section == "corpus" and args.corpus is None:
            continue
        made = SECTIONS[section](args)
        print(f"## {section}\n\n{made}", flush=True)
        if args.write:
            write(section, made)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("Stopped. Trainings that were recorded to the end are kept where --recordings names a folder.")
