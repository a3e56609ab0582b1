"""Runs somebody's script or module as ``python`` itself would, with a probe that waits for its first training step.

Started as a program by ``bedside run``: ``python script.py (file|module) TARGET ARGS...``. It loads itself a second
time under another name, because the namespace of ``__main__`` is to be the script's alone. Nothing of the probe and
nothing of torch is imported before the script imports torch.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import os
import runpy
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

#: Whose frames no traceback shows: this file's, and those of the loader that it has the script compiled by.
_OURS = (__file__, "<frozen importlib._bootstrap>", "<frozen importlib._bootstrap_external>")


def main() -> None:
    """Run what the command line says; ends as the script ends."""
    how, target, *arguments = sys.argv[1:]
    if not getattr(sys.flags, "safe_path", False):
        del sys.path[0]
    sys.meta_path.insert(0, _AfterImport("torch", wait_for_training))
    sys.argv = [target, *arguments]
    try:
        if how == "module":
            run_module(target)
        else:
            run_file(target)
    except SystemExit:
        raise
    except BaseException as error:  # noqa: BLE001  it is raised again, without our frames
        end_as_python_does(error)


def run_file(path: str) -> None:
    """``python PATH``: a source file, a compiled one, or a folder or archive with a ``__main__.py`` in it."""
    sys.orig_argv = [sys.executable, *sys.argv]
    path = os.path.abspath(path)  # noqa: PTH100
    if importlib.machinery.PathFinder.find_spec("__main__", [path]) is not None:
        sys.path.insert(0, path)
        _clear_main()
        runpy._run_module_as_main("__main__", False)  # type: ignore[attr-defined]
        return
    if not getattr(sys.flags, "safe_path", False):
        sys.path.insert(0, os.path.dirname(os.path.realpath(path)))  # noqa: PTH120
    kind = importlib.machinery.SourcelessFileLoader if path.endswith(".pyc") else importlib.machinery.SourceFileLoader
    loader: Any = kind("__main__", path)
    data = loader.get_data(path)
    code = loader.get_code("__main__") if path.endswith(".pyc") else loader.source_to_code(data, path)
    namespace = _clear_main()
    namespace.update(__loader__=loader, __file__=path, __cached__=None)
    exec(code, namespace)  # noqa: S102  it is what the user asked for


def run_module(name: str) -> None:
    """``python -m NAME``."""
    sys.orig_argv = [sys.executable, "-m", *sys.argv]
    if not getattr(sys.flags, "safe_path", False):
        sys.path.insert(0, os.getcwd())  # noqa: PTH109
    sys.argv[0] = "-m"
    _clear_main()
    runpy._run_module_as_main(name)  # type: ignore[attr-defined]


def end_as_python_does(error: BaseException) -> None:
    """Show the error without our own frames, and let it end the program: Ctrl-C ends it by the signal."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename in _OURS:
        trace = trace.tb_next
    sys.excepthook(type(error), error.with_traceback(trace), trace)
    sys.excepthook = lambda *_: None
    raise error


def _clear_main() -> dict[str, Any]:
    """The namespace of ``__main__`` as it is before a program's first line."""
    namespace = sys.modules["__main__"].__dict__
    namespace.clear()
    namespace.update(dict.fromkeys(("__doc__", "__package__", "__loader__", "__spec__")))
    namespace.update(__name__="__main__", __builtins__=sys.modules["builtins"])
    if sys.version_info < (3, 14):
        namespace["__annotations__"] = {}
    return namespace


# ------------------------------------------------------------------------------------------------------ the probe


class _AfterImport:
    """Calls ``then`` once a module has been imported; an entry of ``sys.meta_path`` until that begins."""

    def __init__(self, name: str, then: Callable[[], None]) -> None:
        self._name, self._then = name, then

    def find_spec(self, name: str, _path: Any = None, _target: Any = None) -> importlib.machinery.ModuleSpec | None:
        if name != self._name:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            loader: Any = spec.loader
            execute = loader.exec_module

            def exec_module(module: ModuleType) -> None:
                execute(module)
                del loader.exec_module
                self._then()

            loader.exec_module = exec_module
        return spec


def wait_for_training() -> None:
    """Called when torch is there. What goes wrong costs a line and never the script."""
    try:
        by_path("loading").load_probe()
        from probe.zero.first_step import FirstStep

        FirstStep().wait()
    except Exception as error:  # noqa: BLE001  no line of the script asked for this
        print(f"bedside run: not recorded ({error}); the script runs on", file=sys.stderr)


def by_path(name: str) -> Any:
    """A module of this folder, under a name that no program uses."""
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), f"{name}.py")  # noqa: PTH100,PTH118,PTH120
    spec = importlib.util.spec_from_file_location(f"bedside_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    sys.modules[f"bedside_{name}"] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    by_path("script").main()
