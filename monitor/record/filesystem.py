"""What kind of file system a path is on."""

from __future__ import annotations

from pathlib import Path

#: Here several machines may have the file open, and a write-ahead log, which is shared memory, is not safe.
_REMOTE = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "lustre", "gpfs", "beegfs"}
    | {"panfs", "fhgfs", "glusterfs", "ocfs2", "gfs2", "sshfs", "s3fs"}
)
_MOUNTS = Path("/proc/self/mounts")


def is_remote(path: Path, mounts: Path = _MOUNTS) -> bool:
    """Whether the path is on a network file system; False where the system does not say (macOS)."""
    kind = kind_of(path, mounts)
    return kind.removeprefix("fuse.") in _REMOTE


def kind_of(path: Path, mounts: Path = _MOUNTS) -> str:
    """The name of the file system that holds ``path``, from the longest mount point above it; "" if not known."""
    try:
        lines = mounts.read_text(errors="surrogateescape").splitlines()
    except OSError:
        return ""
    place = path.absolute().resolve()
    above = {str(place), *map(str, place.parents)}
    found = ("", "")
    for line in lines:
        _, point, kind, *_ = line.split(" ")
        point = point.replace("\\040", " ")
        # Not shorter: the last of several mounts on one point is the one that is seen.
        if point in above and len(point) >= len(found[0]):
            found = (point, kind)
    return found[1]
