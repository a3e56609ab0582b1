"""A run is opened to TCP only as it was meant: with keys, or on loopback by name."""

import logging

import pytest
import torch
from torch import nn

import probe
from probe import ProbeError, endpoints


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("BEDSIDE_HOME", str(tmp_path))
    return tmp_path


def authorise(home):
    (home / "keys" / "authorised").mkdir(parents=True)
    (home / "keys" / "authorised" / "laptop").write_text("0" * 64)


def test_without_an_endpoint_nothing_is_opened():
    assert endpoints.checked(None, insecure=False) == ""


def test_attach_refuses_an_endpoint_without_keys_with_the_line_that_does_it_right():
    model = nn.Linear(2, 2)
    with pytest.raises(ProbeError) as caught:
        probe.attach(model, torch.optim.SGD(model.parameters(), lr=0.1), endpoint="tcp://0.0.0.0:7777")

    assert str(caught.value) == (
        "endpoint='tcp://0.0.0.0:7777' is refused: no key is authorised yet, so nobody could connect. On the machine "
        "that watches, 'bedside keys show' prints its key; here, 'bedside keys authorise KEY NAME' lets it in. "
        "Through 'bedside watch ssh://HOST' no keys are needed."
    )


@pytest.mark.parametrize("endpoint", ["tcp://0.0.0.0:7777", "tcp://*:7777", "tcp://[::]:7777", "tcp://eth0:7777"])
def test_with_a_key_authorised_any_address_will_do(home, endpoint):
    authorise(home)

    assert endpoints.checked(endpoint, insecure=False) == endpoint


@pytest.mark.parametrize("endpoint", ["tcp://127.0.0.1:7777", "tcp://127.8.9.1:7777", "tcp://[::1]:7777"])
def test_insecure_on_loopback_says_what_that_means(caplog, endpoint):
    with caplog.at_level(logging.WARNING, "probe"):
        assert endpoints.checked(endpoint, insecure=True) == endpoint

    assert caplog.messages == [
        f"Bedside: every user of this machine can read and command this run at {endpoint} (insecure=True)."
    ]


@pytest.mark.parametrize("endpoint", ["tcp://0.0.0.0:7777", "tcp://*:7777", "tcp://[::]:7777", "tcp://10.0.0.1:7777"])
def test_insecure_anywhere_else_is_refused_even_with_keys(home, endpoint):
    authorise(home)

    with pytest.raises(ProbeError, match="without keys whoever reaches that address could stop the training"):
        endpoints.checked(endpoint, insecure=True)


@pytest.mark.parametrize(
    "endpoint",
    ["7777", "tcp://7777", "tcp://*", "udp://*:7777", "tcp://*:0", "tcp://*:65535", "tcp://a b:1", "ipc:///x", ""],
)
def test_what_is_no_address_is_refused(home, endpoint):
    authorise(home)

    with pytest.raises(ProbeError, match="an address to listen at is needed"):
        endpoints.checked(endpoint, insecure=False)


def test_insecure_alone_is_a_mistake():
    with pytest.raises(ProbeError, match="insecure=True goes with an endpoint"):
        endpoints.checked(None, insecure=True)
