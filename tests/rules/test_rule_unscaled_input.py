import msgspec

from monitor.engine import Engine
from monitor.model import Severity
from probe import wire
from tests.synthetic_runs import CROSS_ENTROPY, HELLO, LAYERS, batch, fail, falling


def run(mean: float, std: float, *, ratio: float = 2.0, first: float | None = None, kind="Conv2d", start=2.3):
    """A run whose inputs have these statistics; ``first`` is the deviation of the first layer's outputs."""
    inputs = {"input/mean": mean, "input/std": std, "input/std_ratio": ratio}
    engine = Engine(on_fault=fail)
    engine.hello(msgspec.structs.replace(HELLO, layers=[wire.Layer(name, kind, 1) for name in LAYERS]))
    stats = {10: {"act_std": [0.5 * std if first is None else first, 1.0, 1.0]}}
    loss = falling(10, start=start)
    engine.feed(
        batch({"train/loss": loss} | {k: [v] * 10 for k, v in inputs.items()}, layers=stats, facts=CROSS_ENTROPY)
    )
    return [(alert.severity, alert.first_step, alert.summary) for alert in engine.alerts if alert.rule == NAME]


NAME = "unscaled-input"


def test_pixels_from_0_to_255_are_said_at_the_first_probe():
    ((severity, first_step, summary),) = run(110.0, 70.0)
    assert (severity, first_step) == (Severity.WARNING, 1)
    assert summary == "the inputs have a mean of 110 and a standard deviation of 70"


def test_inputs_far_from_zero_are_said():
    ((severity, _, summary),) = run(10.0, 1.0)
    assert (severity, summary) == (Severity.WARNING, "the inputs have a mean of 10 and a standard deviation of 1")


def test_features_of_very_different_size_are_said():
    ((severity, _, summary),) = run(0.5, 3.0, ratio=5000.0)
    assert severity is Severity.WARNING
    assert summary.endswith("of one feature it is 5e+03x that of another")


def test_somewhat_large_inputs_are_a_notice_and_a_warning_where_the_loss_starts_too_high():
    assert [severity for severity, *_ in run(5.0, 6.0)] == [Severity.NOTICE]
    assert [severity for severity, *_ in run(5.0, 6.0, start=20.0)] == [Severity.WARNING]


def test_before_a_layer_that_normalises_they_are_only_information():
    assert [severity for severity, *_ in run(110.0, 70.0, kind="BatchNorm2d")] == [Severity.INFO]


def test_silent_on_images_from_0_to_1():
    assert run(0.48, 0.25) == []
    assert run(0.9, 0.1) == []  # bright ones


def test_silent_on_natural_log_mel_spectrograms():
    assert run(-4.3, 4.6) == []


def test_silent_on_standardised_inputs_with_heavy_tails():
    assert run(0.0, 1.0, ratio=900.0) == []


def test_silent_on_inputs_that_are_all_the_same():
    assert run(1.0, 0.0) == []


def test_silent_where_the_model_scales_them_itself():
    assert run(110.0, 70.0, first=0.3) == []
