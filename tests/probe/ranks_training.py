"""A training on several ranks (gloo) for the tests; prints its rank, last step and a digest of its weights."""

import argparse
import hashlib
import os
import signal
import time
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import nn

import probe
from probe import control, ranks

arguments = argparse.ArgumentParser()
arguments.add_argument("--steps", type=int, default=1_000_000)
arguments.add_argument("--pace-s", type=float, default=0.002)
arguments.add_argument("--timeout-s", type=float, default=60.0, help="of the process group")
arguments.add_argument("--answer-s", type=float, default=10.0, help="how long rank 0 waits for the others")
arguments.add_argument("--linger-s", type=float, default=0.0, help="the others end so much later than rank 0")
arguments.add_argument("--load", default="", help="a checkpoint to go on from")
arguments.add_argument("--rank-1-dies", choices=["answered", "saving"], help="after it answered; when it saves")
arguments.add_argument("--only-rank-0", action="store_true", help="no probe on the others")
args = arguments.parse_args()

ranks.ANSWER_S = control._RANDOM_S = args.answer_s
torch.set_num_threads(1)
dist.init_process_group("gloo", timeout=timedelta(seconds=args.timeout_s))
rank = dist.get_rank()


def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)


if rank == 1 and args.rank_1_dies == "answered":
    ranks.Ranks._comes = die  # the first that it waits for is the step
if rank == 1 and args.rank_1_dies == "saving":
    ranks.Ranks.tell = die  # its random state
torch.manual_seed(0)
model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 4))
wrapped = nn.parallel.DistributedDataParallel(model)
optimizer = torch.optim.AdamW(wrapped.parameters(), lr=0.01)
scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.999)
torch.manual_seed(100 + rank)  # each rank draws batches of its own
step = probe.load_checkpoint(args.load, wrapped, optimizer, scheduler).step if args.load else 0
if rank == 0 or not args.only_rank_0:
    probe.attach(wrapped, optimizer, name="ranks", step=step)

try:
    while step < args.steps:
        inputs, targets = torch.randn(16, 8), torch.randint(0, 4, (16,))
        optimizer.zero_grad()
        nn.functional.cross_entropy(wrapped(inputs), targets).backward()
        optimizer.step()
        scheduler.step()
        step += 1
        time.sleep(args.pace_s)
finally:
    weights = b"".join(p.detach().numpy().tobytes() for p in model.parameters())
    time.sleep(args.linger_s if rank else 0.0)
    # In one piece, also unbuffered: the ranks share their output.
    print(f"ended {rank} {step} {hashlib.sha256(weights).hexdigest()}\n", end="", flush=True)
