"""Lists for people and scripts: the runs of this machine, the rules."""

from __future__ import annotations

import argparse
import difflib
import inspect
import json
import sys
import time

USAGE = 2


def runs(machine: str | None = None, *, as_json: bool) -> int:
    """The runs that have a file or are served, newest first; those of another machine if ``machine`` names one."""
    from monitor.record import registry
    from monitor.remote import RemoteError, reach

    try:
        entries = reach.runs(machine) if machine else registry.run_files()
    except RemoteError as error:
        print(f"bedside runs: {error}", file=sys.stderr)
        return USAGE
    if as_json:
        rows = [
            {
                "run_id": entry.run_id,
                "name": entry.name,
                "started_s": entry.started_s,
                "live": entry.live is not None,
                "pid": entry.live.pid if entry.live else None,
                "file": str(entry.path) if entry.path else None,
            }
            for entry in entries
        ]
        print(json.dumps(rows, indent=1))
        return 0
    if not entries:
        print(f"no runs in {machine or registry.home()} yet; attach the probe to a training, or try `bedside demo`")
        return 0
    width = max(4, *(len(entry.name) for entry in entries))
    print(f"  {'ID':8}  {'NAME':{width}}  {'STARTED':19}  FILE")
    for entry in entries:
        started = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(entry.started_s))
        sign, place = "●" if entry.live else " ", entry.path or "in memory"
        print(f"{sign} {entry.run_id:8}  {entry.name:{width}}  {started}  {place}")
    return 0


def prune(args: argparse.Namespace) -> int:
    """Delete the runs that are over, older than ``args.older`` days and not among the ``args.keep`` newest."""
    from monitor.record import retention

    is_told_which = args.older is not None or args.keep is not None
    if not (args.prune and is_told_which) or args.machine:
        print("bedside runs: --prune takes --older DAYS or --keep N or both, and no ssh://HOST", file=sys.stderr)
        return USAGE
    found = retention.prunable(before_s=time.time() - 86_400 * (args.older or 0), keep=args.keep or 0)
    for run in found:
        ended = time.strftime("%Y-%m-%d %H:%M", time.localtime(run.ended_s))
        print(f"{run.run_id:8}  ended {ended}  {run.size_bytes / 2**20:8.1f} MiB  {run.name}")
    many = f"{len(found)} run{'' if len(found) == 1 else 's'}, {sum(run.size_bytes for run in found) / 2**20:.1f} MiB"
    if not found:
        print("no run is that old and over; nothing is deleted")
        return 0
    if not (args.yes or _agreed(f"Delete {many}? [y/N] ")):
        print("nothing is deleted" if sys.stdin.isatty() else "nothing is deleted; --yes deletes without asking")
        return 0
    try:
        for run in found:
            run.remove()
    except OSError as error:
        print(f"bedside runs: {error}", file=sys.stderr)
        return USAGE
    print(f"deleted {many}")
    return 0


def _agreed(question: str) -> bool:
    """What the person at the terminal says; no if there is none."""
    try:
        return sys.stdin.isatty() and input(question).strip().lower() in ("y", "yes")
    except EOFError:  # Ctrl-D
        print()
        return False


def rules(name: str | None) -> int:
    """One line a rule, or the whole definition of one."""
    from monitor.rules import RULES

    by_name = {rule.name: rule for rule in RULES}
    if name is None:
        width = max(map(len, by_name))
        for rule in RULES:
            head = inspect.cleandoc(inspect.getmodule(rule.check).__doc__ or "").partition("\n")[0]
            print(f"{rule.name:{width}}  {head}")
        return 0
    if name not in by_name:
        close = difflib.get_close_matches(name, by_name, 1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        print(f"bedside rules: no rule {name!r}{hint} ('bedside rules' lists all {len(RULES)})", file=sys.stderr)
        return USAGE
    print(inspect.cleandoc(inspect.getmodule(by_name[name].check).__doc__ or "").partition("\n>>>")[0].rstrip())
    return 0
