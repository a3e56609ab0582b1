"""Which run this process belongs to: the ranks of one job share the id of rank 0."""

from __future__ import annotations

import hashlib
import itertools
import logging
import os
import secrets
from datetime import timedelta
from pathlib import Path

import torch.distributed as dist

from probe.errors import ProbeError
from probe.ranks import own_store, rank_and_size

_log = logging.getLogger("probe")

#: How long the other ranks wait for rank 0 to say its id; it does in its own ``attach``.
_PATIENCE = timedelta(seconds=5)
#: Of the runs of this process: a script may attach to several models, in the same order on each rank.
_numbers = itertools.count()
#: Where rank 0 leaves the id of its newest run for ranks that come to it one by one, and later.
_NEWEST = "bedside/run/newest"
#: The id of this process's next run, where it was settled before.
_settled: list[str] = []


def settle() -> None:
    """Settle the id of the next run in a job that is under way, whose ranks get their probes one by one.

    So nobody has to wait for rank 0. Raises ProbeError if that has none yet.
    """
    rank, size = rank_and_size()
    if size == 1:
        return
    store = own_store()
    if rank == 0:
        newest = secrets.token_hex(4)
        store.set(_NEWEST, newest)
    elif not store.check([_NEWEST]) or not (newest := store.get(_NEWEST).decode()):
        raise ProbeError(f"this is rank {rank} of a job, and its rank 0 has no probe yet; attach to that first")
    _settled[:] = [newest]


def leave() -> None:
    """The run that was settled so is over, or is not to be."""
    _settled.clear()
    rank, size = rank_and_size()
    if rank == 0 and size > 1:
        own_store().set(_NEWEST, "")


def run_id() -> str:
    """Eight hexadecimal digits; on the ranks of a job the same.

    With a process group rank 0 leaves its id in the group's store, and the others fetch it there: no collective.
    Before there is one, the ranks that ``torchrun`` has started on this machine know each other by their parent.
    """
    if _settled:
        return _settled.pop()
    rank, size = rank_and_size()
    if size > 1:
        return _agreed(rank, f"bedside/run/{next(_numbers)}")
    if os.environ.get("LOCAL_WORLD_SIZE", "1") != "1" and _is_on_one_machine():
        return _of_siblings(next(_numbers))
    return secrets.token_hex(4)


def _agreed(rank: int, key: str) -> str:
    own = secrets.token_hex(4)
    store = dist.distributed_c10d._get_default_store()
    try:
        if rank == 0:
            store.set(key, own)
            return own
        store.wait([key], _PATIENCE)
        return str(store.get(key).decode())
    except (RuntimeError, ValueError) as error:  # torch's DistError is a RuntimeError
        _log.warning(
            "Bedside: rank 0 has said no run id within %.0f s; rank %d is recorded as a run of its own (%s).",
            _PATIENCE.total_seconds(), rank, str(error).partition("\n")[0],
        )  # fmt: skip
        return own


def _is_on_one_machine() -> bool:
    return os.environ.get("LOCAL_WORLD_SIZE") == os.environ.get("WORLD_SIZE") and "TORCHELASTIC_RUN_ID" in os.environ


def _of_siblings(number: int) -> str:
    """From the launcher's process, when that began, and how often it has started the ranks anew."""
    parent = os.getppid()
    try:
        began = Path(f"/proc/{parent}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        began = ""
    words = (parent, began, os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"), number)
    return hashlib.sha256(" ".join(map(str, words)).encode()).hexdigest()[:8]
