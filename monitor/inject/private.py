"""Whether a file is safe to be run: nobody else can write it, or put another in its place."""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import stat
from pathlib import Path


def unsafe(path: Path) -> str | None:
    """Why a file or folder must not be run from, or None. Its folders are looked at up to the root."""
    place = path.resolve()
    for each in (place, *place.parents):
        state = each.stat()
        is_sticky_folder = stat.S_ISDIR(state.st_mode) and bool(state.st_mode & stat.S_ISVTX)
        # To a sticky folder others may add, and not replace what is there.
        if reason := _fault(each, state, may_be_added_to=each != place and is_sticky_folder):
            return reason
    return None


def unsafe_inside(path: Path) -> str | None:
    """The same for a package with all that is in it."""
    if reason := unsafe(path):
        return reason
    for folder, folders, files in os.walk(path.resolve()):
        for name in (*folders, *files):
            each = Path(folder, name)
            with contextlib.suppress(FileNotFoundError):  # another process has just compiled a file
                if reason := unsafe_inside(each) if each.is_symlink() else _fault(each, each.stat()):
                    return reason
    return None


def _fault(path: Path, state: os.stat_result, *, may_be_added_to: bool = False) -> str | None:
    if state.st_uid not in (0, os.geteuid()):
        return f"{path} belongs to {_name(state.st_uid)}; only files of your own and of root are run"
    is_for_others = state.st_mode & stat.S_IWOTH or (state.st_mode & stat.S_IWGRP and not _is_own_group(state.st_gid))
    if is_for_others and not may_be_added_to:
        return f"{path} can be written by others; take that right away (chmod go-w) to have it run"
    return None


def _is_own_group(gid: int) -> bool:
    """Whether a group has no member but this user, as a user's private group has; or is root's."""
    if gid == 0:
        return True
    user = pwd.getpwuid(os.geteuid())
    try:
        others = set(grp.getgrgid(gid).gr_mem) - {user.pw_name}
    except KeyError:
        return False
    return gid == user.pw_gid and not others


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"
