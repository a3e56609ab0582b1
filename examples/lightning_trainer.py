"""Lightning: a callback over the two lines. The LightningModule, its logging and the Trainer stay as they are."""

import lightning
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, random_split

import probe


class Bedside(lightning.Callback):
    """From the first training step, when the optimizers exist and the sanity check is over, to the last."""

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        self.run = probe.attach(pl_module, trainer.optimizers[0], step=trainer.global_step)

    def on_train_end(self, *_: object) -> None:
        self.run.detach()


class Classifier(lightning.LightningModule):
    """Scans float32[batch, 64] to digits."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Dropout(0.1))
        self.head = nn.Linear(128, 10)

    def training_step(self, batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        scans, digits = batch
        loss = nn.functional.cross_entropy(self.head(self.body(scans)), digits)
        self.log("epoch_loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch: tuple[torch.Tensor, torch.Tensor]) -> None:
        scans, digits = batch
        logits = self.head(self.body(scans))
        self.log("val_loss", nn.functional.cross_entropy(logits, digits))
        self.log("val_accuracy", (logits.argmax(1) == digits).float().mean())

    def on_train_epoch_end(self) -> None:
        logged = self.trainer.callback_metrics
        print(", ".join(f"{name.replace('_', ' ')} {value:.6f}" for name, value in logged.items()))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.parameters(), lr=1e-2)


lightning.seed_everything(0)
images, digits = load_digits(return_X_y=True)
scans = TensorDataset(torch.tensor(images / 16, dtype=torch.float32), torch.tensor(digits))
train, val = random_split(scans, [1408, 389])

trainer = lightning.Trainer(
    max_epochs=5,
    callbacks=[Bedside()],
    accumulate_grad_batches=2,
    gradient_clip_val=1.0,
    accelerator="cpu",
    logger=False,
    enable_checkpointing=False,
    enable_progress_bar=False,
)
trainer.fit(Classifier(), DataLoader(train, batch_size=32, shuffle=True), DataLoader(val, batch_size=100))
