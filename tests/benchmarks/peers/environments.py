"""A virtual environment for each peer, made when it is first needed and kept in the user's cache folder."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path

import platformdirs

#: What is installed for each logger. The versions are pinned, so that figures can be compared.
REQUIREMENTS = {
    "wandb": ["wandb==0.31.0"],
    "tensorboard": ["tensorboard==2.21.0", "setuptools<81"],
    "trackio": ["trackio==0.43.0"],
}


class NotInstalledError(Exception):
    """A peer that cannot be had here; the message is pip's last line."""


def python_of(logger: str) -> str:
    """The interpreter that has the logger; this one for those that need no other."""
    if logger not in REQUIREMENTS:
        return sys.executable
    requirements = REQUIREMENTS[logger]
    folder = Path(platformdirs.user_cache_dir("bedside")) / "bench" / requirements[0]
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        try:
            _run(sys.executable, "-m", "venv", "--clear", str(folder))
            _run(str(python), "-m", "pip", "install", "--quiet", "numpy", *requirements)
        except subprocess.CalledProcessError as error:
            raise NotInstalledError((error.stderr.strip().splitlines() or ["no word"])[-1]) from None
        if logger == "tensorboard":
            _borrow_torch(folder)
        (folder / "ready").touch()
    return str(python)


def _borrow_torch(folder: Path) -> None:
    """SummaryWriter is part of torch: that of this environment is put behind the peer's own packages."""
    (site_packages,) = folder.glob("lib/python*/site-packages")
    (site_packages / "torch.pth").write_text(sysconfig.get_path("purelib") + "\n")


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True)
