"""Whether a file is safe to be run: nobody else can write it, or put another in its place."""

from __future__ import annotations

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
        if state.st_uid not in (0, os.geteuid()):
            return f"{each} belongs to {_name(state.st_uid)}; only files of your own and of root are run"
        is_sticky_folder = stat.S_ISDIR(state.st_mode) and bool(state.st_mode & stat.S_ISVTX)
        if each != place and is_sticky_folder:
            continue  # others may add to it, and not replace what is there
        if state.st_mode & stat.S_IWOTH or (state.st_mode & stat.S_IWGRP and not _is_own_group(state.st_gid)):
            return f"{each} can be written by others; take that right away (chmod go-w) to have it run"
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
