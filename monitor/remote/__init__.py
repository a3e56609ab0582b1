"""Runs on other machines: through the user's own OpenSSH, or over TCP with keys."""


class RemoteError(Exception):
    """There is no way to a run on another machine; the message is one line for a person."""
