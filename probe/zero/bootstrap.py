"""What runs first in a process that ``bedside attach`` enters; sent as text, never imported.

It runs in the main thread, between two lines of the training, and only starts a thread. That one calls back to the
command, makes sure that torch is there and no part of it half imported, and hands over to ``probe.zero.injected``.
``request`` is the command's, a dictionary of plain values. Python 3.8 must be able to read this, to be refused.
"""

from __future__ import annotations

import _thread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    request: dict[str, Any]


def begin(request: dict[str, Any]) -> None:
    """Start the thread that does it: ``threading`` would keep a stand-in for this one for ever.

    That it is not started from the main thread saves the training the wait until it runs.
    """
    import threading

    threading.Thread(target=call_back, args=(request,), name="bedside-attach", daemon=True).start()


def call_back(request: dict[str, Any]) -> None:
    import json
    import socket

    line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        line.connect(request["address"])

        def say(**words: Any) -> None:
            line.sendall(json.dumps(words).encode() + b"\n")

        try:
            serve(request, say)
        except BaseException as error:  # noqa: BLE001  it is told there, and nothing surfaces here
            say(refused=f"{type(error).__name__}: {error}")
    except OSError:
        pass  # the command has gone, and nobody waits for an answer
    finally:
        line.close()


def serve(request: dict[str, Any], say: Callable[..., None]) -> None:
    import importlib.util
    import os
    import sys
    import time

    version = sys.version_info[:2]
    if version < (3, 10):
        say(refused="it runs Python {}.{}, and the probe needs 3.10 or later".format(*version))
        return
    say(heard=os.getpid())
    deadline = time.monotonic() + request["patience_s"]
    while not is_torch_ready():
        if time.monotonic() > deadline:
            say(refused="it is importing torch just now; try again in a moment")
            return
        time.sleep(0.1)
    path = os.path.join(request["package"], "zero", "loading.py")  # noqa: PTH118
    spec: Any = importlib.util.spec_from_file_location("bedside_loading", path)
    loading: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loading)
    lent = loading.Lent(request["folders"])
    lent.lend()
    try:
        if missing := loading.missing():
            lent.take_back()
            say(missing=missing, executable=sys.executable, version=version)
            return
        loading.load_probe()
        from probe.zero import injected

        injected.serve(request, say, lent)
    except BaseException:
        lent.take_back()
        raise


def is_torch_ready() -> bool:
    """Whether torch is imported, and no part of it half. Of torch only: a program may train in an import."""
    import sys

    names = [name for name in list(sys.modules) if name.partition(".")[0] == "torch"]
    specs = [getattr(sys.modules.get(name), "__spec__", None) for name in names]
    return "torch" in names and not any(getattr(spec, "_initializing", False) for spec in specs)


try:
    _thread.start_new_thread(begin, (request,))  # noqa: F821  the command puts it there
except KeyboardInterrupt:
    _thread.interrupt_main()  # it was meant for the program
except RuntimeError:
    pass  # no more threads, or the interpreter is ending: the command hears nothing, and says so
