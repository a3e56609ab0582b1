"""Lets torchvision be imported beside a CPU-only torch.

torchvision's wheel on PyPI is built against CUDA. Beside a CPU-only torch its compiled part cannot be loaded, so
the two operators that it would register, ``torchvision::nms`` and ``torchvision::qnms``, do not exist, and
``import torchvision`` fails where it attaches their meta functions: ``operator torchvision::nms does not exist``.
Declaring just these two schemas first cures it; transforms, datasets and models then work. Box operators stay
without an implementation, and nothing here needs them.

Call :func:`import_torchvision` before anything else imports torchvision. Where torchvision works by itself,
nothing is declared.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

from torch import library

SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_declared: list[library.Library] = []  # a Library takes its schemas back when it is collected


def import_torchvision() -> ModuleType:
    """torchvision, importable beside this torch. Raises what the import raises for any other reason."""
    try:
        return importlib.import_module("torchvision")
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[name]
    ours = library.Library("torchvision", "DEF")
    for schema in SCHEMAS:
        ours.define(schema)
    _declared.append(ours)
    return importlib.import_module("torchvision")
