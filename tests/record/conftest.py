import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from toy_run import monitor_of, toy_run  # noqa: F401
