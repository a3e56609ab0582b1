"""Lists for people and scripts: the runs of this machine, the rules."""

from __future__ import annotations

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
        hint = f"did you mean {close[0]!r}? " if close else ""
        print(f"bedside rules: no rule {name!r}; {hint}('bedside rules' lists all {len(RULES)})", file=sys.stderr)
        return USAGE
    print(inspect.cleandoc(inspect.getmodule(by_name[name].check).__doc__ or "").partition("\n>>>")[0].rstrip())
    return 0
