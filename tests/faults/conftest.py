import sys
from pathlib import Path

for folder in ("record", "wire", "e2e"):
    sys.path.insert(0, str(Path(__file__).parent.parent / folder))

from toy_run import monitor_of, toy_run  # noqa: E402, F401
