"""Where the time of a step goes."""

from __future__ import annotations

from time import perf_counter


class Clock:
    """Times between completed steps, without what was not training.

    ``time/step_s`` runs from one completed step to the next; ``torch.save`` is taken out, and evaluation with the
    loading of its batches. ``time/data_s`` is the time that the training thread waited for a
    ``torch.utils.data.DataLoader`` or its iterators since the last step. Where no such loader is seen it is the gap
    between the end of a step and the next forward pass: that also holds what the loop does in between (a scheduler,
    a logger, a copy to the device), and on CUDA any wait for the device there.
    """

    def __init__(self) -> None:
        self.trained_s = 0.0  # all steps together
        self.evaluated_s = 0.0  # all evaluations together, each to the end of its last forward pass
        self._evaluation_s = 0.0
        self._completed_s: float | None = None
        self._paused_s = 0.0
        self._pause_began_s: float | None = None
        self._gap_s: float | None = None
        self._unclaimed_wait_s = self._wait_s = 0.0
        self._has_loader = False

    def pause(self) -> None:
        """Something other than training begins."""
        if self._pause_began_s is None:
            self._pause_began_s = perf_counter()

    def resume(self) -> None:
        if self._pause_began_s is not None:
            self._paused_s += perf_counter() - self._pause_began_s
            self._pause_began_s = None
        self.evaluated_s += self._evaluation_s
        self._evaluation_s = 0.0

    def evaluates(self) -> None:
        """A forward pass of an evaluation begins: what was waited for since the last pass belongs to it."""
        began_s = perf_counter() if self._pause_began_s is None else self._pause_began_s
        self._pause_began_s = began_s - self._unclaimed_wait_s
        self._unclaimed_wait_s = 0.0

    def evaluated(self) -> None:
        """That pass is over. What comes behind the last one may be anything: a checkpoint, a plot, an idle hour."""
        if self._pause_began_s is not None:
            self._evaluation_s = perf_counter() - self._pause_began_s

    def waited(self, wait_s: float, *, for_training: bool) -> None:
        """A data loader was waited for; if not surely for training, the next forward pass shows what for."""
        self._has_loader = True
        if for_training:
            self._wait_s += wait_s
        else:
            self._unclaimed_wait_s += wait_s
        if self._pause_began_s is not None:
            self._pause_began_s += wait_s

    def forward(self) -> None:
        """A training forward pass begins."""
        self._wait_s += self._unclaimed_wait_s
        self._unclaimed_wait_s = 0.0
        if self._gap_s is None and self._completed_s is not None:
            self._gap_s = max(0.0, perf_counter() - self._completed_s - self._paused_s)

    def completed(self, samples: int, tokens: int = 0) -> dict[str, float]:
        """The values of the step that is complete now; none for the first, whose beginning is not known."""
        now = perf_counter()
        found: dict[str, float] = {}
        self._wait_s += self._unclaimed_wait_s  # where no forward pass was seen
        self._unclaimed_wait_s = 0.0
        if self._completed_s is not None:
            step_s = now - self._completed_s - self._paused_s
            found["time/step_s"] = step_s
            self.trained_s += step_s
            if self._has_loader:
                found["time/data_s"] = self._wait_s
            elif self._gap_s is not None:
                found["time/data_s"] = self._gap_s
            if samples and step_s > 0:
                found["rate/samples_per_s"] = samples / step_s
                if tokens:
                    found["rate/tokens_per_s"] = tokens / step_s
        self._completed_s, self._paused_s, self._gap_s, self._wait_s = now, 0.0, None, 0.0
        return found
