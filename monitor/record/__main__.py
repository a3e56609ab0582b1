"""The recorder's program. The probe starts it by its file name, isolated; see ``probe/launcher.py``.

``python -m monitor.record`` works, too. Only the standard library is imported before the process has detached.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import os
import signal
import sys
from pathlib import Path


def main(arguments: list[str]) -> int:
    """Detach, then record until the run is over and nobody watches. ``read WORDS`` reads instead, for ``ssh://``."""
    options = _parser().parse_args(arguments)
    sys.path += options.path
    if options.words:
        return _read(options.words[1:])
    _detach()
    try:
        if not __package__:
            _load_by_place("probe", "monitor")
        from monitor.record import reader
        from monitor.record.recorder import Setup, record

        with contextlib.suppress(OSError):  # a home that cannot be written is said by who writes the run file
            reader.leave()
        record(
            Setup(
                stem=options.run_id,
                folder=Path(options.folder),
                pid=options.pid,
                pidfd=options.pidfd,
                ready=lambda: _say(options.lifeline, "ready"),
            )
        )
    except BaseException as error:  # noqa: BLE001  told to the probe, which logs it: there is no terminal here
        _say(options.lifeline, f"{type(error).__name__}: {error}")
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m monitor.record", description=__doc__)
    parser.add_argument("words", nargs=argparse.REMAINDER, help="read, and what; see reader.py")
    parser.add_argument("--run-id", help="what its sockets are called; the run's id, and more for rank 1 and on")
    parser.add_argument("--folder", help="the private folder of the sockets")
    parser.add_argument("--pid", type=int, help="the training process")
    parser.add_argument("--pidfd", type=int, help="an inherited pidfd of it")
    parser.add_argument("--lifeline", type=int, help="the inherited end of a pipe that the probe reads")
    parser.add_argument("--path", action="append", default=[], help="a folder to look for packages in, last of all")
    return parser


def _read(words: list[str]) -> int:
    """127 in the words of a shell: nothing can be read this way, since what it imports is not there any more."""
    try:
        if not __package__:
            _load_by_place("probe", "monitor")
        from monitor.record import reader
    except Exception as error:  # noqa: BLE001  packages of another Python, or half of one, fail in any way
        print(f"Bedside cannot be started with {sys.executable}: {error}", file=sys.stderr)
        return 127
    return reader.main(words)


def _detach() -> None:
    """A process of its own, so that the training process has no child that it never asked for."""
    if hasattr(os, "fork") and os.fork():
        os._exit(0)
    os.umask(0o077)  # run files and whatever else it makes are this user's alone
    for name in ("SIGINT", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)


def _load_by_place(*names: str) -> None:
    """Import the packages that lie beside this one, whatever else in the environment has the same name."""
    root = Path(__file__).resolve().parent.parent.parent
    for name in names:
        place = root / name
        spec = importlib.util.spec_from_file_location(
            name, place / "__init__.py", submodule_search_locations=[str(place)]
        )
        if spec is None or spec.loader is None:
            raise ImportError(f"{place} is not a package")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)


def _say(lifeline: int | None, text: str) -> None:
    if lifeline is not None:
        with contextlib.suppress(OSError):  # the probe has gone
            os.write(lifeline, text.replace("\n", " ").encode()[:2000] + b"\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
