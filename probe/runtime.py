"""Bedside's own folder, and the private one that holds the sockets of this user's runs.

Whoever can open a socket in it can read the run and, later, command it: so the folder belongs to this user, nobody
else may look into it, and anything else at its place is refused rather than used.
"""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

#: ``sun_path`` holds 104 bytes on macOS and 108 on Linux, the final zero included.
MAX_PATH_BYTES = 100

#: The longest name that a socket gets in the folder: ``01234567.r4095.89abcd.live``.
_LONGEST_NAME = 31


class RuntimeFolderError(Exception):
    """No private folder can be had; the message says why and what to do."""


def socket_folder() -> Path:
    """The folder, made if need be, mode 0700 and this user's own."""
    uid = os.getuid()
    runtime = Path(f"/run/user/{uid}")
    if not _is_private(runtime):
        runtime = _private(_temporary(uid))
    return _private(runtime / "bedside")


def home() -> Path:
    """Bedside's own folder: ``$BEDSIDE_HOME``, else the platform's folder for a program's state."""
    if own := os.environ.get("BEDSIDE_HOME"):
        return Path(own).absolute()
    import platformdirs

    return platformdirs.user_state_path("bedside")


def socket_stem(run_id: str, rank: int, started_s: float) -> str:
    """What the sockets of one recorder are called; the ranks of a job share an id and have a recorder each.

    Rank 0 makes a new id each time. Another one may be left and entered again under the same, while the recorder of
    its first part is still there.
    """
    return run_id if rank == 0 else f"{run_id}.r{rank}.{int(1e3 * started_s) & 0xFFFFFF:06x}"


def _temporary(uid: int) -> Path:
    name = f"bedside-{uid}"
    folder = Path(tempfile.gettempdir()) / name
    too_long = len(os.fsencode(folder / "bedside")) + 1 + _LONGEST_NAME > MAX_PATH_BYTES
    return Path("/tmp") / name if too_long else folder  # noqa: S108  checked for owner and mode before it is used


def _is_private(folder: Path) -> bool:
    try:
        status = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o077


def _private(folder: Path) -> Path:
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise RuntimeFolderError(
            f"The socket folder {folder} cannot be made ({error.strerror}). Set TMPDIR to a folder of your own."
        ) from error
    if not _is_private(folder):
        raise RuntimeFolderError(
            f"{folder} is not a private folder of yours (it must be owned by user {os.getuid()} with mode 0700). "
            "Remove it, or set TMPDIR to a folder of your own."
        )
    return folder
