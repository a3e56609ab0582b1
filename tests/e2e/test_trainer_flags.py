"""A stop of a framework's own loop ends it by its own flag; the trainings are real."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest
from world import ROOT, eventually

BESIDE_TORCHVISION = ROOT / "tests" / "examples" / "beside_torchvision.py"

LIGHTNING = """
import lightning, torch, probe
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

class Bedside(lightning.Callback):
    def on_train_start(self, trainer, module):
        self.run = probe.attach(module, trainer.optimizers[0], name="framed")

    def on_train_end(self, *_):
        print("the trainer's own end")
        self.run.detach()

class Net(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(4, 3)

    def training_step(self, batch):
        return nn.functional.cross_entropy(self.head(batch[0]), batch[1])

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)

quiet = dict(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False)
trainer = lightning.Trainer(max_epochs=-1, callbacks=[Bedside()], **quiet)
trainer.fit(Net(), DataLoader(TensorDataset(torch.randn(64, 4), torch.randint(0, 3, (64,))), batch_size=8))
print("after it, step", trainer.global_step)
"""

HUGGING_FACE = """
import torch, probe
from torch import nn
from transformers import Trainer, TrainerCallback, TrainingArguments

class Bedside(TrainerCallback):
    def on_train_begin(self, _args, _state, _control, *, model, optimizer, **_):
        self.run = probe.attach(model, optimizer, name="framed")

    def on_train_end(self, *_, **__):
        print("the trainer's own end")
        self.run.detach()

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(4, 3)

    def forward(self, inputs, labels):
        return {"loss": nn.functional.cross_entropy(self.head(inputs), labels)}

data = [{"inputs": torch.randn(4), "labels": index % 3} for index in range(64)]
how = TrainingArguments("out", max_steps=10**6, save_strategy="no", report_to="none", disable_tqdm=True, use_cpu=True)
trainer = Trainer(Net(), how, train_dataset=data, callbacks=[Bedside()])
trainer.train()
print("after it, step", trainer.state.global_step)
"""


@pytest.mark.parametrize(
    ("framework", "script"),
    [
        pytest.param("lightning", LIGHTNING, id="Lightning"),
        pytest.param("transformers", HUGGING_FACE, id="HF", marks=pytest.mark.slow),
    ],
)
def test_the_step_under_way_is_the_last_and_what_comes_after_the_training_comes(framework, script, world, tmp_path):
    if importlib.util.find_spec(framework) is None:
        pytest.skip(f"{framework} is not installed: pip install 'bedside[frameworks]'")
    path = tmp_path / "framed.py"
    path.write_text(script)
    training = subprocess.Popen(
        [sys.executable, str(BESIDE_TORCHVISION), str(path)],
        env=world.env, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    world.started.append(training)
    eventually(world.live_entries)
    words = [sys.executable, "-m", "monitor", "do", "framed", "stop", "--json"]
    done = subprocess.run(words, env=world.env, cwd=ROOT, capture_output=True, text=True, check=True)
    stopped = json.loads(done.stdout)
    out, _ = training.communicate(timeout=60)

    assert training.returncode == 0
    assert out.splitlines()[-2:] == ["the trainer's own end", f"after it, step {stopped['step'] + 1}"]
    assert Path(stopped["applied"]["path"]).name == f"step-{stopped['step']}.pt"
