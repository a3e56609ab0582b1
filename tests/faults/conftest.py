import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "record"))

from toy_run import monitor_of, toy_run  # noqa: F401
