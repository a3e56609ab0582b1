"""Imports Bedside's own package ``probe`` in somebody else's program. Standard library only; loaded by its path."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import os
import sys
from collections.abc import Sequence
from typing import Any

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100,PTH120  pathlib is not loaded

#: What the probe and its recorder import beside torch and the standard library.
NEEDED = ("msgspec", "zmq", "numpy", "platformdirs")


def load_probe() -> None:
    """Import the package: the program's own Bedside if it has one, else this very one, wherever it lies.

    Raises ImportError if the program has some other ``probe``.
    """
    loaded = sys.modules.get("probe")
    spec = loaded.__spec__ if loaded is not None else importlib.util.find_spec("probe")
    if spec is not None and not _is_bedside(spec.origin):
        raise ImportError(f"the program has a module 'probe' of its own, {spec.origin or 'a folder'}")
    if spec is None:
        origin = os.path.join(_PACKAGE, "__init__.py")  # noqa: PTH118
        spec = importlib.util.spec_from_file_location("probe", origin, submodule_search_locations=[_PACKAGE])
        assert spec is not None
        assert spec.loader is not None
        sys.modules["probe"] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)


def _is_bedside(origin: str | None) -> bool:
    here = os.path.join("zero", "loading.py")  # noqa: PTH118
    return origin is not None and os.path.exists(os.path.join(os.path.dirname(origin), here))  # noqa: PTH110,PTH118,PTH120


def missing() -> list[str]:
    """What of the needed packages cannot be imported here."""
    return [name for name in NEEDED if importlib.util.find_spec(name) is None]


class Lent:
    """Folders at the very end of this program's search for modules, and for what the probe needs only.

    So nothing that the program imports later, or tries to, is found there.
    """

    def __init__(self, folders: Sequence[str]) -> None:
        self._folders = list(folders)

    def find_spec(self, name: str, path: Any = None, _target: Any = None) -> importlib.machinery.ModuleSpec | None:
        """The entry of ``sys.meta_path``; also for what a needed package brings along."""
        if path is not None or name not in NEEDED:
            return None
        return importlib.machinery.PathFinder.find_spec(name, self._folders)

    def lend(self) -> None:
        sys.meta_path.append(self)

    def take_back(self) -> None:
        if self in sys.meta_path:
            sys.meta_path.remove(self)
