"""Hugging Face Trainer: a callback over the two lines. A small GPT-2 reads the standard library's own source."""

import argparse
from pathlib import Path

import torch
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainerCallback, TrainingArguments, set_seed

import probe

CONTEXT = 64


class Bedside(TrainerCallback):
    """From the first training step, when the optimizer exists, to the last."""

    def on_train_begin(self, _args, state, _control, *, model, optimizer, **_):
        self.run = probe.attach(model, optimizer, total_steps=state.max_steps, step=state.global_step)

    def on_train_end(self, *_, **__):
        self.run.detach()


set_seed(0)
source = torch.tensor(list(Path(argparse.__file__).read_bytes()))
windows = [{"input_ids": window, "labels": window} for window in source.split(CONTEXT) if len(window) == CONTEXT]

trainer = Trainer(
    GPT2LMHeadModel(GPT2Config(vocab_size=256, n_positions=CONTEXT, n_embd=64, n_layer=2, n_head=4)),
    TrainingArguments(
        output_dir="gpt2-stdlib",
        num_train_epochs=1,
        per_device_train_batch_size=8,
        gradient_accumulation_steps=2,
        learning_rate=3e-3,
        logging_steps=1,
        eval_strategy="epoch",
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
    ),
    train_dataset=windows[:1280],
    eval_dataset=windows[1280:],
    callbacks=[Bedside()],
)
trainer.train()

*_, last, val, _ = trainer.state.log_history
print(f"loss {last['loss']:.6f}, gradient norm {last['grad_norm']:.6f}, val loss {val['eval_loss']:.6f}")
