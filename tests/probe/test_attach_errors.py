import logging
import subprocess
import sys

import pytest
import torch
from torch import nn

import probe
from probe import ProbeError, wire

THERE_ARE = "there are pause, checkpoint, checkpoint-and-stop, stop, interrupt."


def sgd(model):
    return torch.optim.SGD(model.parameters(), lr=0.1)


def message_of(*args, **kwargs):
    with pytest.raises(ProbeError) as caught:
        probe.attach(*args, **kwargs)
    return str(caught.value)


def test_a_model_that_is_no_module_is_refused(net):
    assert message_of({"a": 1}, sgd(net)) == (
        "The model is of type dict; a torch.nn.Module is needed. "
        "Call probe.attach(model, optimizer) with the module that the loop trains."
    )


def test_a_model_without_parameters_is_refused(net):
    assert message_of(nn.ReLU(), sgd(net)) == (
        "This ReLU has no parameters, so there is nothing to watch. Call probe.attach once its layers are in place."
    )


def test_a_model_with_lazy_layers_is_refused(net):
    assert message_of(nn.LazyLinear(3), sgd(net)) == (
        "This LazyLinear has lazy layers without a shape yet; they must have one. "
        "Run one forward pass before probe.attach."
    )


def test_a_scheduler_in_place_of_the_optimizer_is_refused(net):
    scheduler = torch.optim.lr_scheduler.StepLR(sgd(net), 1)
    assert message_of(net, scheduler) == (
        "The optimizer is of type StepLR; a torch.optim.Optimizer is needed, or a dictionary of them. "
        "A scheduler or an accelerator wrapper holds one as its .optimizer."
    )


def test_an_optimizer_of_another_model_is_refused(net):
    assert message_of(net, sgd(nn.Linear(1, 1))) == (
        "The optimizer (SGD) holds none of the parameters of this Net. "
        "Attach the model that it was made for; one made before model parameters were replaced must be made anew."
    )


def test_the_wrong_one_of_several_optimizers_is_named(net):
    assert message_of(net, {"g": sgd(net), "d": sgd(nn.Linear(1, 1))}).startswith(
        "The optimizer 'd' (SGD) holds none"
    )


def test_an_empty_dictionary_of_optimizers_is_refused(net):
    assert message_of(net, {}) == (
        'There is no optimizer in the dictionary; give at least one, as in {"g": opt_g, "d": opt_d}.'
    )


@pytest.mark.parametrize("every", [0, -1, 2.5, True])
def test_every_below_one_is_refused(net, every):
    assert message_of(net, sgd(net), every=every) == (
        f"every={every!r}; a whole number of steps, 1 or more, is needed. The default is 10."
    )


def test_a_negative_first_step_is_refused(net):
    assert message_of(net, sgd(net), step=-1) == (
        "step=-1; the number of steps done before, 0 or more, is needed. The default is 0."
    )


def test_a_scripted_model_is_refused_and_seen_inside_another_module(net, senders):
    scripted = torch.jit.script(nn.Linear(3, 2))
    assert message_of(scripted, sgd(scripted)) == (
        "The model is scripted (torch.jit), and a scripted module takes no hooks. "
        "Train torch.nn.Sequential(model) and call probe.attach with that."
    )

    model = nn.Sequential(scripted)
    optimizer = sgd(model)
    probe.attach(model, optimizer)
    nn.functional.mse_loss(model(torch.ones(4, 3)), torch.zeros(4, 2)).backward()
    optimizer.step()
    assert [step for step, _ in senders.last.series("train/loss")] == [1]


def test_attaching_again_with_the_same_objects_returns_the_same_probe(net):
    optimizer = sgd(net)
    assert probe.attach(net, optimizer) is probe.attach(net, optimizer)


def test_attaching_again_in_other_words_says_that_they_change_nothing(net, caplog):
    optimizer = sgd(net)
    run = probe.attach(net, optimizer, name="first")
    with caplog.at_level(logging.WARNING, "probe"):
        assert probe.attach(net, optimizer, name="first") is run
        assert probe.attach(net, optimizer, name="second", on_alert={"divergence": "pause"}) is run

    assert caplog.messages == [
        f"This Net has a probe already (run {run.run_id}); it stays as it is: detach() it first for another "
        "name, on_alert."
    ]


def test_attaching_again_with_another_optimizer_is_refused(net):
    run = probe.attach(net, sgd(net))
    assert message_of(net, sgd(net)) == (
        f"This Net has a probe already (run {run.run_id}), with another optimizer. "
        "One model has one probe at a time: call detach() on the first, or give all optimizers at once "
        'as probe.attach(model, {"a": first, "b": second}).'
    )


def test_after_detach_the_model_can_be_attached_anew(net, senders):
    probe.attach(net, sgd(net)).detach()
    probe.attach(net, sgd(net))
    assert len(senders.made) == 2


def test_a_refused_attach_leaves_no_hook_behind(net):
    with pytest.raises(ProbeError):
        probe.attach(net, sgd(nn.Linear(1, 1)))
    assert not net._forward_hooks
    assert not net._forward_pre_hooks


def test_bedside_off_makes_every_call_do_nothing(net, senders, monkeypatch):
    monkeypatch.setenv("BEDSIDE", "off")
    backward = torch.autograd.backward
    run = probe.attach(net, sgd(net), name="quiet")
    with run:
        run.log(reward=1.0)
        run.validation(loss=1.0)
        run.mark("here")
        assert torch.autograd.backward is backward
        assert not net._forward_hooks
    run.detach()
    assert (run.name, run.run_id, run.is_attached, senders.made) == ("quiet", "", False, [])


def test_importing_the_package_loads_neither_torch_nor_sockets():
    code = "import sys, probe; print([m for m in ('torch', 'zmq', 'numpy', 'msgspec') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_public_names_are_all_there():
    assert {name for name in dir(probe) if not name.startswith("_")} >= {"Probe", "ProbeError", "attach"}
    with pytest.raises(AttributeError, match="module 'probe' has no attribute 'atach'"):
        _ = probe.atach


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"on_alert": {"divergence": "puase"}},
            f"on_alert has 'puase' for 'divergence'; {THERE_ARE}",
        ),
        (
            {"on_alert": {"divergence": ["pause"]}},
            f"on_alert has ['pause'] for 'divergence'; {THERE_ARE}",
        ),
        (
            {"on_alert": "pause"},
            'on_alert=\'pause\'; a dictionary of rules and actions is needed, as in {"divergence": "pause"}.',
        ),
        (
            {"on_alert": {"divergence": "pause"}, "control": False},
            "on_alert asks for commands and control=False takes none; leave one of the two away.",
        ),
    ],
)
def test_a_reflex_that_cannot_be_meant_is_refused(net, given, message):
    assert message_of(net, sgd(net), **given) == message


def test_reflexes_are_told_as_commands(net, senders):
    probe.attach(net, sgd(net), on_alert={"non-finite": "checkpoint-and-stop", "divergence": "pause"})

    assert senders.last.hello.on_alert == {
        "non-finite": wire.Action("stop", {"checkpoint": True}),
        "divergence": wire.Action("pause"),
    }
