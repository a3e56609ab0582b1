"""A real sshd on loopback with keys, port and config of its own, and an ``ssh`` on the PATH that knows it by name."""

import contextlib
import getpass
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

import psutil

SSHD = shutil.which("sshd") or ("/usr/sbin/sshd" if Path("/usr/sbin/sshd").exists() else None)
SSH = shutil.which("ssh")

SERVER = """
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/user_key.pub
PidFile none
StrictModes no
UsePAM no
PermitRootLogin yes
PasswordAuthentication no
KbdInteractiveAuthentication no
SetEnv {environment}
"""
CLIENT = """
Host *
  HostName 127.0.0.1
  Port {port}
  User {user}
  IdentityFile {folder}/%h
  IdentitiesOnly yes
  UserKnownHostsFile {folder}/known_hosts
  HostKeyAlias train-box
  StrictHostKeyChecking yes
Host train-box
  IdentityFile {folder}/user_key
"""


class Sshd:
    """The server; ``start`` and ``cut`` it as often as a line comes and goes."""

    def __init__(self, folder: Path, home: Path) -> None:
        self.folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        for name in ("host_key", "user_key"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        # The shell there reads no start-up file of the developer's: one that is cut off may leave a lock behind.
        environment = f'HOME="{folder}" BEDSIDE_HOME="{home}" OMP_NUM_THREADS=1'
        (folder / "known_hosts").write_text("train-box " + (folder / "host_key.pub").read_text())
        (folder / "sshd_config").write_text(SERVER.format(port=port, folder=folder, environment=environment))
        (folder / "ssh_config").write_text(CLIENT.format(port=port, folder=folder, user=getpass.getuser()))
        (folder / "bin").mkdir()
        ssh = folder / "bin" / "ssh"
        ssh.write_text(f'#!/bin/sh\nexec {SSH} -F {folder}/ssh_config "$@"\n')
        ssh.chmod(0o755)
        self._port = port

    @property
    def path(self) -> str:
        """The PATH on which the user finds this ``ssh``."""
        return f"{self.folder / 'bin'}:{os.environ['PATH']}"

    def start(self) -> None:
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # root's sshd asks for it
        self._process = subprocess.Popen([SSHD, "-D", "-f", self.folder / "sshd_config"], stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 15.0
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._port), 1.0):
                return
            assert self._process.poll() is None, "sshd ended at once"
            assert time.monotonic() < deadline, "sshd does not listen"
            time.sleep(0.02)

    def cut(self) -> None:
        """The server and every connection are gone at once."""
        if self._process is None:
            return
        root = psutil.Process(self._process.pid)
        everyone = [*root.children(recursive=True), root]
        for process in everyone:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self._process.wait()
        self._process = None
