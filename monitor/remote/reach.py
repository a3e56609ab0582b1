"""From an address of another machine to a run there: its messages, and the way for commands."""

from __future__ import annotations

from dataclasses import dataclass

from monitor import actions
from monitor.feeds import Feed
from monitor.feeds.continued import ContinuedFeed
from monitor.feeds.line import Curve
from monitor.feeds.live import LiveFeed
from monitor.model import Ack, Action
from monitor.record.reader import Found, Listed
from monitor.record.registry import RunEntry
from monitor.record.story import before
from monitor.remote import RemoteError, far, ssh, tcp
from monitor.remote.feed import FarFile, FarPast, SshFeed
from monitor.remote.ssh import Host
from monitor.remote.tcp import Place

SCHEMES = ("ssh://", "tcp://")


@dataclass(frozen=True)
class Reached:
    """A run on another machine; ``ask`` is where its commands go, empty if it is over."""

    run_id: str
    name: str
    feed: Feed
    ask: str = ""
    curve: Curve | None = None
    runs: tuple[Listed, ...] = ()

    def act(self, run_id: str, action: Action) -> Ack:
        """Give a command; the answer, or a refusal that says why there is none."""
        if not self.ask:
            return Ack(id="", ok=False, text="the run is over")
        try:
            return actions.give(self.ask, actions.command(run_id, action), curve=self.curve)
        except actions.NoAnswer as error:
            return Ack(id="", ok=False, text=str(error))


def reach(text: str) -> Reached:
    """The run at ``ssh://[user@]host[:port][/RUN]`` or ``tcp://[KEY@]host:port``. Raises :class:`RemoteError`."""
    if text.startswith("tcp://"):
        return _knocked(tcp.parse(text))
    host, name = ssh.parse(text)
    found = far.find(host, name)
    entry = found.entry
    feed = _feed(host, found)
    ask = feed.ask if isinstance(feed, SshFeed) else ""
    return Reached(entry.run_id, entry.name, ContinuedFeed(feed, FarPast(host)), ask, runs=tuple(found.runs))


def _knocked(place: Place) -> Reached:
    hello = tcp.knock(place)
    feed = ContinuedFeed(LiveFeed(place.live, place.ask, place.curve), before)
    return Reached(hello.run_id, hello.name, feed, place.ask, place.curve)


def runs(place: str) -> list[RunEntry]:
    """The runs of ``ssh://[user@]host[:port]``, newest first. Raises :class:`RemoteError`."""
    return far.runs(ssh.parse(place)[0])


def _feed(host: Host, found: Found) -> SshFeed | FarFile:
    entry = found.entry
    if entry.live is None:
        return FarFile(host, entry.run_id or entry.name)
    if entry.live.host != found.host:
        raise RemoteError(
            f"{entry.name} runs on {entry.live.host}, and {found.host} has only its file: "
            f"try ssh://{entry.live.host}/{entry.run_id} (a ProxyJump in ~/.ssh/config leads through {found.host})"
        )
    feed = SshFeed(host, found)
    feed.open()
    return feed
