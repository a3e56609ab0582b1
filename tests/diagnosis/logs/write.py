"""Writes the logs in this folder, each by the library whose form it is; run it where they are installed.

    python tests/diagnosis/logs/write.py keras lightning hugging-face tensorboard parquet wandb

All are trainings of a line through 256 points. ``ultralytics`` trains its smallest detector on four drawn pictures.
"""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

HERE = Path(__file__).parent


def steps(count: int = 40) -> Iterator[tuple[int, float, float]]:
    """Step, loss and learning rate of gradient descent on a parabola, with some noise."""
    weight, rate = 3.0, 0.05
    for step in range(1, count + 1):
        weight -= rate * (2 * weight + 0.1 * math.sin(7 * step))
        yield step, weight**2 + 0.1, rate


def keras(folder: Path) -> None:
    os.environ["KERAS_BACKEND"] = "torch"
    import keras
    import numpy as np

    keras.utils.set_random_seed(0)
    x = np.random.default_rng(0).normal(size=(256, 4)).astype("float32")
    y = (x.sum(1) > 0).astype("int32")
    model = keras.Sequential([keras.layers.Dense(8, "relu"), keras.layers.Dense(2, "softmax")])
    model.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy", metrics=["accuracy"])
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        history = model.fit(
            x,
            y,
            validation_split=0.25,
            epochs=12,
            verbose=2,
            callbacks=[keras.callbacks.CSVLogger(folder / "keras.csv")],
        )
    (folder / "keras-history.json").write_text(json.dumps(history.history))
    (folder / "keras-stdout.txt").write_text(said.getvalue())


def lightning(folder: Path) -> None:
    import lightning
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    class Line(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.line = torch.nn.Linear(4, 1)

        def training_step(self, batch: list[torch.Tensor], _index: int) -> torch.Tensor:
            loss = torch.nn.functional.mse_loss(self.line(batch[0]), batch[1])
            self.log("train_loss", loss, on_step=True, on_epoch=True)
            return loss

        def validation_step(self, batch: list[torch.Tensor], _index: int) -> None:
            self.log("val_loss", torch.nn.functional.mse_loss(self.line(batch[0]), batch[1]))

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), lr=0.05)

    lightning.seed_everything(0)
    x = torch.randn(256, 4)
    data = TensorDataset(x, x.sum(1, keepdim=True))
    logger = lightning.pytorch.loggers.CSVLogger(folder / "lightning")
    trainer = lightning.Trainer(
        max_epochs=4, logger=logger, log_every_n_steps=1, accelerator="cpu", enable_checkpointing=False
    )
    trainer.fit(Line(), DataLoader(data, 32), DataLoader(data, 128))
    shutil.copy(Path(logger.log_dir) / "metrics.csv", folder / "lightning.csv")
    shutil.rmtree(folder / "lightning")


def hugging_face(folder: Path) -> None:
    import torch
    from transformers import Trainer, TrainingArguments

    class Line(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.line = torch.nn.Linear(4, 1)

        def forward(self, x: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
            y = self.line(x)
            return {"loss": torch.nn.functional.mse_loss(y, labels), "logits": y}

    torch.manual_seed(0)
    x = torch.randn(256, 4)
    data = [{"x": row, "labels": row.sum(0, keepdim=True)} for row in x]
    arguments = TrainingArguments(
        str(folder / "hf"),
        num_train_epochs=3,
        per_device_train_batch_size=16,
        learning_rate=0.05,
        logging_steps=2,
        eval_strategy="epoch",
        save_strategy="no",
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
    )
    trainer = Trainer(Line(), arguments, train_dataset=data, eval_dataset=data[:64])
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        trainer.train()
    trainer.state.save_to_json(str(folder / "trainer_state.json"))
    (folder / "hugging-face-stdout.txt").write_text(said.getvalue())
    shutil.rmtree(folder / "hf", ignore_errors=True)


def tensorboard(folder: Path) -> None:
    from torch.utils.tensorboard import SummaryWriter

    runs = folder / "tensorboard"
    for name, scale in (("first", 1.0), ("second", 2.0)):
        with SummaryWriter(str(runs / name)) as writer:
            for step, loss, rate in steps():
                writer.add_scalar("train/loss", scale * loss, step)
                writer.add_scalar("train/learning_rate", rate, step)
                if step % 10 == 0:
                    writer.add_scalar("eval/loss", scale * loss + 0.1, step)
            writer.add_text("note", "not a number")
    keras = folder / "keras-tensorboard"  # by the same writer, for Keras' own needs TensorFlow
    for name, more in (("train", 0.0), ("validation", 0.1)):
        with SummaryWriter(str(keras / name)) as writer:
            for step, loss, _ in steps(12):
                writer.add_scalar("epoch_loss", loss + more, step - 1)
    for part in (runs / "first", runs / "second", keras / "train", keras / "validation"):
        (file,) = part.iterdir()
        file.rename(file.parent / "events.out.tfevents.0.host")


def parquet(folder: Path) -> None:
    import pyarrow as pa
    from pyarrow.parquet import write_table

    rows = [{"_step": step, "train/loss": loss, "lr": rate} for step, loss, rate in steps()]
    rows[9]["val/loss"] = 0.5
    write_table(pa.Table.from_pylist(rows, pa.Table.from_pylist([rows[9]]).schema), folder / "history.parquet")


def wandb(folder: Path) -> None:
    import wandb

    with tempfile.TemporaryDirectory() as place:
        run = wandb.init(mode="offline", project="line", dir=place, settings=wandb.Settings(console="off"))
        for step, loss, rate in steps():
            run.log({"train/loss": loss, "lr": rate}, step=step)
        run.finish()
        (file,) = Path(place).rglob("*.wandb")
        (folder / "offline.wandb").write_bytes(file.read_bytes()[:7])  # its header; the machine's paths come next


def ultralytics(folder: Path) -> None:
    import cv2
    import numpy as np
    from ultralytics import YOLO

    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        for kind in ("images", "labels"):
            (place / kind).mkdir()
        for i in range(4):
            image = np.zeros((64, 64, 3), np.uint8)
            cv2.circle(image, (20 + 6 * i, 32), 10, (255, 255, 255), -1)
            cv2.imwrite(str(place / "images" / f"{i}.png"), image)
            (place / "labels" / f"{i}.txt").write_text(f"0 {(20 + 6 * i) / 64} 0.5 0.3 0.3\n")
        (place / "data.yaml").write_text(f"path: {place}\ntrain: images\nval: images\nnames: {{0: disc}}\n")
        model = YOLO("yolov8n.yaml")
        model.train(
            data=str(place / "data.yaml"), epochs=4, imgsz=64, batch=4, device="cpu", workers=0, plots=False,
            project=str(place), name="run", amp=False, verbose=False,
        )  # fmt: skip
        shutil.copy(place / "run" / "results.csv", folder / "ultralytics.csv")


WRITERS: dict[str, Callable[[Path], None]] = {
    "keras": keras,
    "lightning": lightning,
    "hugging-face": hugging_face,
    "tensorboard": tensorboard,
    "parquet": parquet,
    "wandb": wandb,
    "ultralytics": ultralytics,
}

if __name__ == "__main__":
    for name in sys.argv[1:]:
        WRITERS[name](HERE)
