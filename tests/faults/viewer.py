"""A viewer in a process of its own: watches a run to its end, then writes all that it was shown.

usage: viewer.py RUN OUTPUT.npz
"""

import sys

import numpy as np

from monitor.commands.watching import resolve
from monitor.session import Session

ALL = 1 << 40


def shown(session: Session) -> dict[str, np.ndarray]:
    """Every series that a session has: steps and values one below the other, float64[2, n]."""
    return {key: np.stack(series.tail(ALL)) for key, series in session.latest().series.items()}


def main() -> None:
    session = Session(resolve(sys.argv[1]).feed)
    session.start()
    while not session.latest().step:
        session._closed.wait(0.05)
    print("watching", flush=True)
    while not session.latest().state.is_over:
        session._closed.wait(0.05)
    np.savez(sys.argv[2], **shown(session))
    session.close()


if __name__ == "__main__":
    main()
