"""The sick trainings: which fault is put into which healthy one."""

from __future__ import annotations

from dataclasses import dataclass

from tests.diagnosis.zoo import faulty_data, faulty_loop, faulty_model
from tests.diagnosis.zoo.fault import NONE, Fault
from tests.diagnosis.zoo.recipes import FRESH, HELD_OUT, RECIPES, TUNING, Recipe


@dataclass(frozen=True)
class Case:
    """A training to record: a recipe, a fault in it or none, a seed. ``part`` is a name of :data:`PARTS`."""

    part: str
    recipe: Recipe
    fault: Fault
    seed: int

    @property
    def name(self) -> str:
        return f"{self.fault.name}.{self.recipe.name}.{self.seed}"


DIGITS_SGD = "digits-plain-cnn-momentum-lr=0.02-step"
DIGITS_CNN = "digits-cnn-sgd-lr=0.05"
DIGITS_ADAM = "digits-digit-mlp-adam-lr=0.001-dropout=0.3"
DIGITS_MLP = "digits-digit-mlp-sgd-lr=0.1"
DIGITS_TANH = "digits-digit-tanh-momentum-lr=0.05"
DIGITS_GRU = "digits-digit-gru-adam-lr=0.003-clip=1"
DIGITS_ATTENTION = "digits-digit-attention-adam-lr=0.001-dropout=0.1-smoothing=0.1"
LETTERS = "text-letters-adam-lr=0.004-clip=1-batch-size=32"
SCANS = "scans-autoencoder-adam-lr=0.002"

SICK_TUNING: tuple[tuple[Fault, str], ...] = (
    (faulty_loop.RateJumps(300.0), DIGITS_CNN),
    (faulty_loop.RateJumps(100.0), DIGITS_GRU),
    (faulty_loop.RateTooHigh(100.0), DIGITS_SGD),
    (faulty_loop.RateTooHigh(300.0), LETTERS),
    (faulty_loop.RateTooLow(1e-4), DIGITS_CNN),
    (faulty_loop.RateTooLow(1e-4), SCANS),
    (faulty_loop.RateCollapses(), DIGITS_ADAM),
    (faulty_loop.MomentumTooHigh(), DIGITS_SGD),
    (faulty_loop.ClipsTooHard(1e-4), DIGITS_CNN),
    (faulty_loop.SignIsWrong(), DIGITS_ADAM),
    (faulty_loop.GradientsAreKept(), DIGITS_TANH),
    (faulty_loop.SoftmaxTwice(), DIGITS_CNN),
    (faulty_loop.ValidatesInTrainMode(), DIGITS_ADAM),
    (faulty_loop.TrainsInEvalMode(), DIGITS_CNN),
    (faulty_loop.LayersLeftOut(), DIGITS_ADAM),
    (faulty_loop.DataComeLate(), DIGITS_ADAM),
    (faulty_loop.StepsSlowDown(), DIGITS_ADAM),
    (faulty_loop.MemoryLeaks(), DIGITS_ADAM),
    (faulty_data.NanInData(), DIGITS_CNN),
    (faulty_data.BadBatches(), DIGITS_SGD),
    (faulty_data.NotScaled(), DIGITS_SGD),
    (faulty_data.Sorted(), DIGITS_CNN),
    (faulty_data.RandomLabels(), DIGITS_ADAM),
    (faulty_data.TooFewSamples(), DIGITS_MLP),
    (faulty_data.RareClasses(), DIGITS_CNN),
    (faulty_model.DeadUnits(), DIGITS_MLP),
    (faulty_model.Saturated(), DIGITS_TANH),
    (faulty_model.DeepSigmoids(), DIGITS_MLP),
    (faulty_model.LastLayerTooLarge(), DIGITS_ATTENTION),
    (faulty_model.AllZero(), DIGITS_MLP),
    (faulty_model.WeightsBlowUp(), DIGITS_CNN),
    (faulty_model.OneUnit(), DIGITS_MLP),
)

SHAPES_SGD = "shapes-residual-momentum-lr=0.03-weight-decay=0.0005"
SPIRAL_TANH = "spirals-spiral-tanh-momentum-lr=0.1-steps=900"
SPIRAL_RELU = "spirals-spiral-relu-adam-lr=0.003"
SPIRAL_DROPOUT = "spirals-spiral-relu-adamw-lr=0.003-warm-up-dropout=0.1-weight-decay=0.01"
FRIEDMAN_SGD = "friedman-friedman-mlp-momentum-lr=0.01-cosine-weight-decay=0.001"
FRIEDMAN_ADAM = "friedman-friedman-mlp-adam-lr=0.002"
WAVES = "waves-wave-fcn-adam-lr=0.003"
WAVES_SGD = "waves-wave-fcn-momentum-lr=0.05-warm-up-clip=1"
ECHOES = "echoes-wave-autoencoder-adam-lr=0.002"
SIGNS = "majority-signs-adam-lr=0.005-clip=1"
CAUSAL = "brackets-causal-adam-lr=0.001-dropout=0.1-batch-size=32"

SICK_HELD_OUT: tuple[tuple[Fault, str], ...] = (
    (faulty_loop.RateJumps(1000.0), SHAPES_SGD),
    (faulty_loop.RateJumps(100.0), FRIEDMAN_ADAM),
    (faulty_loop.RateJumps(300.0), CAUSAL),
    (faulty_loop.RateTooHigh(300.0), SIGNS),
    (faulty_loop.RateTooHigh(100.0), FRIEDMAN_SGD),
    (faulty_loop.RateTooLow(1e-4), WAVES),
    (faulty_loop.RateTooLow(1e-4), FRIEDMAN_ADAM),
    (faulty_loop.RateCollapses(), SPIRAL_RELU),
    (faulty_loop.MomentumTooHigh(), SPIRAL_TANH),
    (faulty_loop.ClipsTooHard(1e-4), WAVES_SGD),
    (faulty_loop.SignIsWrong(), FRIEDMAN_ADAM),
    (faulty_loop.GradientsAreKept(), WAVES_SGD),
    (faulty_loop.SoftmaxTwice(), SPIRAL_TANH),
    (faulty_loop.ValidatesInTrainMode(), SPIRAL_DROPOUT),
    (faulty_loop.TrainsInEvalMode(), SHAPES_SGD),
    (faulty_loop.LayersLeftOut(), SIGNS),
    (faulty_loop.DataComeLate(), SPIRAL_RELU),
    (faulty_loop.StepsSlowDown(), WAVES),
    (faulty_loop.MemoryLeaks(), FRIEDMAN_ADAM),
    (faulty_data.NanInData(), ECHOES),
    (faulty_data.BadBatches(), WAVES),
    (faulty_data.NotScaled(), SPIRAL_TANH),
    (faulty_data.Sorted(), SHAPES_SGD),
    (faulty_data.RandomLabels(), SHAPES_SGD),
    (faulty_data.TooFewSamples(), WAVES),
    (faulty_data.RareClasses(), WAVES_SGD),
    (faulty_model.DeadUnits(), SPIRAL_RELU),
    (faulty_model.Saturated(), SPIRAL_TANH),
    (faulty_model.DeepSigmoids(), SPIRAL_RELU),
    (faulty_model.LastLayerTooLarge(), SHAPES_SGD),
    (faulty_model.AllZero(), SPIRAL_RELU),
    (faulty_model.WeightsBlowUp(), SIGNS),
    (faulty_model.OneUnit(), SPIRAL_RELU),
)

WINE = "wine-wine-mlp-nesterov-lr=0.005-batch-size=16-steps=400-weight-decay=0.01"
TEXTURES = "textures-strided-momentum-lr=0.03"
PATCHES = "textures-patches-adamw-lr=0.002-warm-up-batch-size=32-steps=400-dropout=0.1"
MIXER = "textures-mixer-adam-lr=0.001-augment=0.5"
UNET = "blobs-unet-adam-lr=0.002-batch-size=32"
DILATED = "demand-dilated-adam-lr=0.002-batch-size=32"
DEMAND_TANH = "demand-demand-tanh-momentum-lr=0.05-linear"
TOPICS = "topics-topic-mlp-adam-lr=0.001-dropout=0.3"
DENOISER = "moons-denoiser-adamw-lr=0.002-cosine-weight-decay=0.01"
BOTH_WAYS = "rows-both-ways-adam-lr=0.004-clip=1"

SICK_FRESH: tuple[tuple[Fault, str], ...] = (
    (faulty_loop.RateJumps(300.0), TEXTURES),
    (faulty_loop.RateJumps(100.0), DILATED),
    (faulty_loop.RateTooHigh(100.0), DEMAND_TANH),
    (faulty_loop.RateTooHigh(300.0), UNET),
    (faulty_loop.RateTooLow(1e-4), TEXTURES),
    (faulty_loop.RateTooLow(1e-4), BOTH_WAYS),
    (faulty_loop.RateCollapses(), TOPICS),
    (faulty_loop.RateCreeps(), DENOISER),
    (faulty_loop.MomentumTooHigh(), TEXTURES),
    (faulty_loop.ClipsTooHard(1e-4), TEXTURES),
    (faulty_loop.SignIsWrong(), DENOISER),
    (faulty_loop.GradientsAreKept(), WINE),
    (faulty_loop.SoftmaxTwice(), BOTH_WAYS),
    (faulty_loop.SigmoidTwice(), TOPICS),
    (faulty_loop.ValidatesInTrainMode(), PATCHES),
    (faulty_loop.TrainsInEvalMode(), WINE),
    (faulty_loop.LayersLeftOut(), MIXER),
    (faulty_loop.DataComeLate(), DEMAND_TANH),
    (faulty_loop.StepsSlowDown(), BOTH_WAYS),
    (faulty_loop.MemoryLeaks(), TEXTURES),
    (faulty_data.NanInData(), UNET),
    (faulty_data.BadBatches(), TEXTURES),
    (faulty_data.NotScaled(), TOPICS),
    (faulty_data.Sorted(), TEXTURES),
    (faulty_data.RandomLabels(), TEXTURES),
    (faulty_data.TooFewSamples(), MIXER),
    (faulty_data.RareClasses(), PATCHES),
    (faulty_model.DeadUnits(), TEXTURES),
    (faulty_model.Saturated(), DEMAND_TANH),
    (faulty_model.DeepSigmoids(), TOPICS),
    (faulty_model.LastLayerTooLarge(), BOTH_WAYS),
    (faulty_model.AllZero(), TEXTURES),
    (faulty_model.WeightsBlowUp(), DILATED),
    (faulty_model.OneUnit(), DEMAND_TANH),
)

#: Each part's healthy recipes, its faults, and its seeds.
PARTS = {
    "tuning": (TUNING, SICK_TUNING, (0, 1, 2)),
    "held-out": (HELD_OUT, SICK_HELD_OUT, (100, 101, 102)),
    "fresh": (FRESH, SICK_FRESH, (200, 201, 202)),
}


def cases(part: str, seeds: int) -> list[Case]:
    """Every training of a part, with the first so many of its seeds: the healthy ones first, they are the twins."""
    healthy, sick, all_seeds = PARTS[part]
    chosen = all_seeds[:seeds]
    return [
        *(Case(part, recipe, NONE, seed) for recipe in healthy for seed in chosen),
        *(Case(part, RECIPES[base], fault, seed) for fault, base in sick for seed in chosen),
    ]
