"""The ``bedside`` command: what can be said, and who does it. Everything heavy is imported by who needs it."""

from __future__ import annotations

import argparse
import difflib
import math
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from probe.version import __version__

SICK, USAGE, INTERRUPTED = 1, 2, 128 + signal.SIGINT


class Parser(argparse.ArgumentParser):
    """Says in one line what is wrong and what comes nearest, and exits with 2."""

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Refuse unknown words here: argparse would have the whole program say it, not the command."""
        known, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return known, unknown

    def error(self, message: str) -> NoReturn:
        self.exit(USAGE, f"{self.prog}: {nearest(message)} ('{self.prog} --help' lists what there is)\n")


def nearest(message: str) -> str:
    """argparse's message about an unknown choice, with the nearest one instead of all of them."""
    head, separator, tail = message.partition("(choose from ")
    if not separator:
        return message
    choices = [choice.strip().strip("'") for choice in tail.rstrip(")").split(",")]
    given = head.partition("invalid choice:")[2].strip().strip("'")
    close = difflib.get_close_matches(given, choices, 1)
    hint = f"did you mean {close[0]!r}?" if close else f"there is {', '.join(choices)}"
    return f"unknown {head.partition(':')[0].removeprefix('argument ').strip()} {given!r}; {hint}"


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = Parser(
        prog="bedside",
        description="A bedside monitor for training runs. Without a command: watch the newest run of this machine.",
        allow_abbrev=False,
    )
    top.add_argument("--version", action="version", version=f"bedside {__version__}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", parser_class=Parser)
    for name, add, text in COMMANDS:
        sub = commands.add_parser(name, help=text, description=text[:1].upper() + text[1:] + ".", allow_abbrev=False)
        sub.set_defaults(run=add(sub))
    return top


Run = Callable[[argparse.Namespace], int]


def _number(least: float, most: float, kind: type[float] = float) -> Callable[[str], float]:
    """A number within these bounds, from a word of the command line."""

    def read(text: str) -> float:
        try:
            number = kind(text)
        except ValueError:
            number = math.nan
        if not least <= number <= most:
            a_number = "a whole number" if kind is int else "a number"
            raise argparse.ArgumentTypeError(f"{text!r} is not {a_number} from {least} to {most}")
        return number

    return read


#: Linux gives no process a higher number.
_pid = _number(1, 4_194_304, int)


def _take_run(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "target",
        nargs="?",
        metavar="RUN",
        help="a run's name or id, its file, a folder with one, ssh://HOST[/RUN], tcp://HOST:PORT; else the newest",
    )


def _watch(sub: argparse.ArgumentParser) -> Run:
    _take_run(sub)
    sub.add_argument("--fps", type=_number(0.5, 30), metavar="N", help="frames a second, 0.5 to 30 (default 4)")
    sub.add_argument("--read-only", action="store_true", help="only look; offer no intervention")
    sub.add_argument("--ascii", action="store_true", help="draw without braille and other signs beyond ASCII")

    def run(args: argparse.Namespace) -> int:
        from monitor.commands import watching

        return watching.watch(args.target, fps=args.fps, ascii_only=args.ascii, read_only=args.read_only)

    return run


def _tail(sub: argparse.ArgumentParser) -> Run:
    _take_run(sub)
    sub.add_argument("--until-alert", action="store_true", help="end with status 1 at the first alarm")

    def run(args: argparse.Namespace) -> int:
        from monitor.commands import watching

        return watching.tail(args.target, until_alert=args.until_alert)

    return run


def _report(sub: argparse.ArgumentParser) -> Run:
    _take_run(sub)
    sub.add_argument(
        "--width",
        type=_number(40, 1000, int),
        metavar="N",
        help="cells of a line (default: the terminal's, at most 100)",
    )

    def run(args: argparse.Namespace) -> int:
        from monitor.commands import watching

        return watching.report(args.target, width=args.width)

    return run


def _web(sub: argparse.ArgumentParser) -> Run:
    _take_run(sub)
    sub.add_argument("--host", default="127.0.0.1", metavar="ADDRESS", help="listen elsewhere than on loopback")
    sub.add_argument("--port", type=_number(1, 65_535, int), default=8000, metavar="N", help="(default 8000)")
    sub.add_argument("--read-only", action="store_true", help="only look; offer no intervention")

    def run(args: argparse.Namespace) -> int:
        from monitor.commands import serving

        return serving.serve(args.target, host=args.host, port=args.port, read_only=args.read_only)

    return run


def _diagnose(sub: argparse.ArgumentParser) -> Run:
    sub.add_argument("files", nargs="+", metavar="FILE", help="a run file, or a log of somebody else's")
    sub.add_argument("--json", action="store_true", help="print one JSON object")
    sub.add_argument("--map", action="append", default=[], metavar="OURS=THEIRS", help="name a column: loss=train/ce")

    def run(args: argparse.Namespace) -> int:
        from monitor.commands import diagnose

        pairs = [pair.partition("=") for pair in args.map]
        if not all(ours and theirs for ours, _, theirs in pairs):
            sub.error("--map takes OURS=THEIRS, as in --map loss=train/ce")
        report = diagnose.diagnose(args.files, {ours: theirs for ours, _, theirs in pairs})
        if args.json:
            print(diagnose.as_json(report))
            return diagnose.exit_status(report)
        if report["runs"]:
            print(diagnose.as_text(report))
        for error in report["errors"]:
            print(f"bedside diagnose: {error['source']}: {error['message']}", file=sys.stderr)
        return diagnose.exit_status(report)

    return run


def _runs(sub: argparse.ArgumentParser) -> Run:
    sub.add_argument("machine", nargs="?", metavar="ssh://HOST", help="another machine; else this one")
    sub.add_argument("--json", action="store_true", help="print one JSON array")
    prune = sub.add_argument_group("deleting runs that are over")
    prune.add_argument("--prune", action="store_true", help="list what would go, and ask")
    prune.add_argument("--older", type=_number(0, 100_000), metavar="DAYS", help="those that ended so long ago")
    prune.add_argument("--keep", type=_number(0, 1_000_000, int), metavar="N", help="all but the N newest")
    prune.add_argument("--yes", action="store_true", help="do not ask")

    def run(args: argparse.Namespace) -> int:
        from monitor.commands import listing

        if args.prune or args.older is not None or args.keep is not None or args.yes:
            return listing.prune(args)
        return listing.runs(args.machine, as_json=args.json)

    return run


def _rules(sub: argparse.ArgumentParser) -> Run:
    sub.add_argument("name", nargs="?", metavar="NAME", help="print this rule's definition")

    def run(args: argparse.Namespace) -> int:
        from monitor.commands import listing

        return listing.rules(args.name)

    return run


def _doctor(_sub: argparse.ArgumentParser) -> Run:
    def run(_args: argparse.Namespace) -> int:
        from monitor.commands import doctor

        return doctor.main()

    return run


def _demo(sub: argparse.ArgumentParser) -> Run:
    from monitor.commands import demo

    demo.add_arguments(sub)

    def run(args: argparse.Namespace) -> int:
        from monitor.commands import watching

        return demo.run(args, find=watching.run_of_process, watch=watching.watch, tail=watching.tail)

    return run


def _run(sub: argparse.ArgumentParser) -> Run:
    sub.add_argument("-m", dest="is_module", action="store_true", help="TARGET is a module, as for python -m")
    sub.add_argument("target", metavar="TARGET", help="a script; for -m a module")
    own = sub.add_argument("arguments", nargs=argparse.REMAINDER, metavar="ARGS", help="its own arguments")
    own.required = False

    def run(args: argparse.Namespace) -> int:
        from monitor.commands import running

        return running.run(args.target, args.arguments, is_module=args.is_module)

    return run


def _attach(sub: argparse.ArgumentParser) -> Run:
    sub.add_argument("pid", nargs="?", type=_pid, metavar="PID", help="the process; without it those are listed")
    sub.add_argument("--model", action="append", default=[], metavar="NAME", help="which, where several are trained")
    sub.add_argument("--name", help="what the run is called (default: as the script)")
    sub.add_argument("--path", action="append", default=[], metavar="DIR", help="lend it pyzmq or msgspec from here")

    def run(args: argparse.Namespace) -> int:
        from monitor.commands import attaching

        return attaching.attach(args.pid, models=args.model, name=args.name, folders=args.path)

    return run


def _detach(sub: argparse.ArgumentParser) -> Run:
    sub.add_argument("pid", type=_pid, metavar="PID", help="the process")

    def run(args: argparse.Namespace) -> int:
        from monitor.commands import attaching

        return attaching.detach(args.pid)

    return run


#: ``bedside do``: what can be asked of a run.
_WHAT = ("lr", "checkpoint", "pause", "resume", "stop", "interrupt", "detail", "note", "undo")


def _do(sub: argparse.ArgumentParser) -> Run:
    sub.add_argument("target", metavar="RUN", help="a run's name or id, ssh://HOST[/RUN] or tcp://HOST:PORT")
    sub.add_argument("what", metavar="WHAT", choices=_WHAT, help=", ".join(_WHAT))
    sub.add_argument(
        "words", nargs="*", default=[], metavar="VALUE", help="lr: x0.5 or 3e-4; detail: steps; note: a text"
    )
    sub.add_argument("--group", metavar="NAME", help="lr: of this parameter group alone")
    sub.add_argument(
        "--checkpoint", action=argparse.BooleanOptionalAction, help="stop, interrupt: write a checkpoint first"
    )
    sub.add_argument(
        "--wait", type=_number(0.001, 86_400), default=60.0, metavar="S", help="for the answer (default 60 seconds)"
    )
    sub.add_argument("--json", action="store_true", help="print one JSON object")

    def run(args: argparse.Namespace) -> int:
        from monitor.commands import doing

        return doing.do(
            args.target,
            args.what,
            args.words,
            group=args.group,
            checkpoint=args.checkpoint,
            wait_s=args.wait,
            as_json=args.json,
        )

    return run


def _keys(sub: argparse.ArgumentParser) -> Run:
    what = sub.add_subparsers(dest="what", metavar="WHAT", parser_class=Parser, required=True)
    what.add_parser("make", help="make this machine's key, if there is none")
    what.add_parser("show", help="print this machine's key, and those that are authorised")
    authorise = what.add_parser("authorise", help="let the holder of a key watch and command the runs here")
    authorise.add_argument("key", metavar="KEY", help="64 digits, as `bedside keys show` prints them there")
    authorise.add_argument("name", metavar="NAME", help="whose it is")
    revoke = what.add_parser("revoke", help="take that back; who is connected with it is cut off")
    revoke.add_argument("name", metavar="NAME", help="whose it is, or the key itself")

    def run(args: argparse.Namespace) -> int:
        from monitor.commands import authorising

        words = [word for name in ("key", "name") if (word := getattr(args, name, None)) is not None]
        act: Callable[..., int] = getattr(authorising, args.what)
        return act(*words)

    return run


COMMANDS: tuple[tuple[str, Callable[[argparse.ArgumentParser], Run], str], ...] = (
    ("watch", _watch, "watch a run on the live screen, also one that is over"),
    ("run", _run, "run a script under a probe, with no line changed in it"),
    ("attach", _attach, "put a probe on a training that runs already"),
    ("detach", _detach, "take the probe off a running training again"),
    ("do", _do, "intervene in a run: its learning rate, a checkpoint, pause, resume, stop"),
    ("tail", _tail, "print a run's events, a line each"),
    ("report", _report, "print how a run stands: numbers, alerts, charts"),
    ("web", _web, "the screen in a browser, on this machine's loopback"),
    ("diagnose", _diagnose, "run the alert rules over a finished run or somebody else's log"),
    ("runs", _runs, "list the runs of this machine, or of another one"),
    ("keys", _keys, "make, show, authorise and revoke the keys of runs that are watched over TCP"),
    ("rules", _rules, "list the alert rules, or print the definition of one"),
    ("doctor", _doctor, "say what is wrong with this set-up, if anything"),
    ("demo", _demo, "watch a real training on real data; --fault makes it sick"),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status. Errors of the user are one line, never a traceback."""
    try:
        args = parser().parse_args(arguments)
        run: Run = getattr(args, "run", None) or (lambda _: _watch_newest())
        status = run(args)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        _close_output()  # whoever read us has what he wanted
        return 0
    except OSError as error:  # a full disk, say
        _close_output()
        print(f"bedside: {error}", file=sys.stderr)
        return USAGE
    return status


def _close_output() -> None:
    """Python would complain once more when it closes standard output."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _watch_newest() -> int:
    from monitor.commands import watching

    return watching.watch(None)
