"""Runs a script as ``python SCRIPT`` does, where torchvision may have been built for another torch.

    python tests/examples/beside_torchvision.py SCRIPT

Lightning and Transformers import torchvision if it is installed, and ``examples/demo/torchvision_ops.py`` says when
that fails. The examples themselves carry no cure for it: it belongs to the environment, not to the training.
"""

import runpy
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "examples" / "demo"))

from torchvision_ops import import_torchvision

import_torchvision()
runpy.run_path(sys.argv[1], run_name="__main__")
