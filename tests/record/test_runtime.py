import os
import stat
import tempfile
from pathlib import Path

import pytest

from probe import runtime


@pytest.fixture
def temporary(tmp_path_factory, monkeypatch):
    """A temporary folder with a short name, and no ``/run/user/UID``."""
    tmp_path = tmp_path_factory.mktemp("t")
    is_private = runtime._is_private
    monkeypatch.setattr(runtime, "_is_private", lambda p: p != Path(f"/run/user/{os.getuid()}") and is_private(p))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_the_folder_is_private(temporary):
    folder = runtime.socket_folder()

    assert folder == temporary / f"bedside-{os.getuid()}" / "bedside"
    assert stat.S_IMODE(folder.stat().st_mode) == stat.S_IMODE(folder.parent.stat().st_mode) == 0o700
    assert runtime.socket_folder() == folder


def test_a_folder_that_others_can_enter_is_refused(temporary):
    folder = temporary / f"bedside-{os.getuid()}"
    folder.mkdir()
    folder.chmod(0o755)

    with pytest.raises(runtime.RuntimeFolderError, match=r"owned by user \d+ with mode 0700\). Remove it, or"):
        runtime.socket_folder()


def test_a_link_at_its_place_is_refused(temporary, tmp_path_factory):
    target = tmp_path_factory.mktemp("elsewhere")
    target.chmod(0o700)
    (temporary / f"bedside-{os.getuid()}").symlink_to(target)

    with pytest.raises(runtime.RuntimeFolderError, match="is not a private folder of yours"):
        runtime.socket_folder()


def test_a_file_at_its_place_is_refused(temporary):
    (temporary / f"bedside-{os.getuid()}").touch()

    with pytest.raises(runtime.RuntimeFolderError, match="cannot be made"):
        runtime.socket_folder()


def test_a_temporary_folder_that_is_too_deep_for_a_socket_gives_way_to_tmp(temporary, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(temporary / ("deep" * 20)))

    path = runtime.socket_folder() / "01234567.r4095.89abcd.live"

    assert len(os.fsencode(path)) <= runtime.MAX_PATH_BYTES


def test_the_ranks_of_a_job_have_sockets_of_their_own_and_one_that_is_entered_again_has_new_ones():
    names = [runtime.socket_stem("0123abcd", rank, at_s) for rank, at_s in ((0, 1.0), (3, 1.0), (3, 1.25))]

    assert names == ["0123abcd", "0123abcd.r3.0003e8", "0123abcd.r3.0004e2"]
