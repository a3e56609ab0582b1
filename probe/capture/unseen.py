"""What cannot be seen of a training, so that it is said once and not silently missing."""

from __future__ import annotations

from collections.abc import Callable

#: So many steps, and so many evaluations, may pass before it is said what is not seen of them.
_ENOUGH = 3

NO_FORWARD = (
    "Validation, accuracy and activations are not available: no forward pass of the model is seen (the whole step is "
    "compiled, or the loop calls parts of the model and not the model itself)."
)
NO_LOSS = (
    "The training loss is not available: no backward pass is seen that begins at a single number. "
    "Say it with run.log(loss=...)."
)
NO_VALIDATION = (
    "Validation loss and accuracy are not available: passes without gradients are seen, and no loss function in them."
    " Say them with run.validation(loss=..., accuracy=...)."
)


class Unseen:
    """Hears what is seen, and says what is not, once enough has passed. ``say`` is given a sentence."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.forward = self.loss = self.validation = False
        self._say = say
        self._steps = self._evaluations = 0

    def step_ends(self) -> None:
        """A step of the main optimizer that was looked at closely."""
        self._steps += 1
        if self._steps == _ENOUGH:
            if not self.forward:
                self._say(NO_FORWARD)
            if not self.loss:
                self._say(NO_LOSS)

    def evaluation_ends(self) -> None:
        """Passes without gradients are over, in which no loss was heard."""
        self._evaluations += 1
        if self._evaluations == _ENOUGH and not self.validation:
            self._say(NO_VALIDATION)
