"""One collector a quantity. A new one is a file here and a line in :data:`COLLECTORS`."""

from __future__ import annotations

from probe.collectors.activations import Activations
from probe.collectors.amp import LossScale
from probe.collectors.collector import Clip, Collector, LayerRef, Moment, Subject
from probe.collectors.gpu import Gpus
from probe.collectors.gradients import Gradients
from probe.collectors.learning_rate import LearningRates
from probe.collectors.memory import Memory
from probe.collectors.weight_decay import WeightDecay
from probe.collectors.weights import Weights

__all__ = ["COLLECTORS", "Clip", "Collector", "LayerRef", "Moment", "Subject"]

#: In the order in which they are asked.
COLLECTORS: tuple[type[Collector], ...] = (
    LearningRates,
    WeightDecay,
    LossScale,
    Gradients,
    Weights,
    Activations,
    Memory,
    Gpus,
)
