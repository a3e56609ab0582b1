"""Writes the pages that are made from the code: rules, wire, commands, and the README's table of rules.

python docs/generate.py            write them
python docs/generate.py --check    exit with 1 if one is not what the code says
"""

from __future__ import annotations

import argparse
import difflib
import inspect
import os
import sys
from pathlib import Path
from typing import Any, get_type_hints

import msgspec

ROOT = Path(__file__).resolve().parent.parent
REFERENCE = ROOT / "docs" / "reference"
RULES_BEGIN, RULES_END = "<!-- rules: made by `make docs` -->", "<!-- /rules -->"
MADE = "<!-- made by `make docs`; edit the code, not this page -->\n\n"

sys.path.insert(0, str(ROOT))

WIRE_HEAD = """\
# The wire

What the probe, the recorder and the monitors say to each other. Version {version}, independent of the package's.

Every message is one ZeroMQ frame: a MessagePack map with a field `type` that names it. Fields that have their
default are left out. Numbers travel in packed little-endian columns. Never pickle, never eval: a frame can only
become one of the messages below.

**How it grows.** A new field has a default; a field never changes its type or its meaning; a new kind of message
is a new `type`. A reader skips fields that it does not know, and counts and passes over a `type` that it does not
know. Golden frames in `tests/wire/frames/` must decode for ever.

## Sockets

All in one private folder (mode 0700): `/run/user/UID/bedside` where that is there, else `bedside-UID` in the
temporary folder. Names that are taken away under a run, as by a logout, are given again within a second, in whichever
of the two is there then; `HOME/live/ID.json` has the newest.

| socket | pattern | who connects | what goes there |
|---|---|---|---|
| `RUN.in` | DEALER to ROUTER | the probe's sender | `hello`, `batch`, `heartbeat`, `goodbye` in; `committed`, `notice`, `command` back |
| `RUN.live` | XPUB | monitors | `hello`, `batch`, `heartbeat`, `alert`, `notice`, `goodbye`, as they happen |
| `RUN.ask` | ROUTER | monitors | `historyrequest`, `command` in; `history`, `ack` back |

A monitor subscribes to `RUN.live` first, then asks for the history after the last batch it has, and drops what
comes twice by its sequence number; a gap in the numbers is asked for again. The answer to a question for all of a long
run begins with `overview` messages, in parts of their own: a monitor draws from them, and from the live stream, until
the rest has come, and from the rest alone then. One that does not know them passes over them.

## Scalar keys

| key | unit | when |
|---|---|---|
| `train/loss` | the criterion's own | each step; mean over the micro-batches of a step |
| `val/loss` | the same terms as `train/loss` | each evaluation; mean weighted by samples |
| `train/TERM`, `val/TERM` | the term's own | each step, each evaluation, where the loss has several terms |
| `train/loss/NAME`, `grad/norm/NAME` | as `train/loss`, `grad/norm` | of each further optimizer, with the next step of the first |
| `train/accuracy`, `val/accuracy` | share, 0 to 1 | classification |
| `grad/norm` | L2 norm over all parameters, before clipping | each step |
| `grad/norm_applied` | the same, after clipping | where clipping was seen |
| `lr/GROUP` | learning rate of a parameter group, as the step used it | each step |
| `lr_schedule/GROUP` | the same as the schedule has it | each step while an intervention holds it elsewhere |
| `weight_decay/GROUP` | weight decay of a parameter group | each `Hello.every` steps |
| `time/step_s` | seconds from one completed step to the next, evaluation left out | each step |
| `time/data_s` | seconds of it between the end of a step and the next forward pass | each step |
| `time/forward_s`, `time/backward_s`, `time/optimizer_s` | seconds of it in the root's forward pass, the backward pass, the optimizer | the step after each `Hello.every` |
| `rate/samples_per_s` | samples a second | each step |
| `rate/tokens_per_s` | tokens a second | each step, where the input is `[n, tokens]` of integers |
| `input/min`, `input/max`, `input/mean`, `input/std` | the input's own | the first 10 steps, unless it is of integers |
| `input/std_ratio` | largest over smallest standard deviation of a feature or channel | likewise, from 32 samples on |
| `labels/entropy` | nats, of the classes among a step's targets | the first 50 steps, then each `Hello.every`; classification |
| `labels/distinct_frac` | share of the classes that are among them, 0 to 1 | likewise |
| `memory/rss_bytes` | resident memory of the training process | each `Hello.every` steps; each 10 or so where those are rarer |
| `memory/allocated_bytes`, `memory/reserved_bytes` | what tensors occupy, and what torch's allocator holds | CUDA, each `Hello.every` steps |
| `gpu/utilization_frac` | share of time in which a kernel ran, 0 to 1; the least busy device | CUDA with `nvidia-ml-py`, each 5 s at most |
| `gpu/temperature_c` | degrees Celsius; the hottest device | likewise |
| `amp/scale`, `amp/skipped_total` | loss scale; steps skipped so far | where a GradScaler is used |
| `user/NAME` | whatever `run.log(NAME=...)` or `run.log({{"NAME": ...}})` was given | when it is called |

## Layer statistics

| key | unit | what |
|---|---|---|
| `grad_norm`, `weight_norm` | L2 norm | over the layer's parameters |
| `update_ratio` | none | norm of the update over norm of the weights, on a fixed sample of elements |
| `act_mean`, `act_std` | the activation's own | of the layer's output, on a sample of elements |
| `act_zero_frac` | share, 0 to 1 | exact zeros in the activation after the layer's non-linearity |
| `dead_frac` | share, 0 to 1 | units (channels, features) that are zero on the whole probed batch, at every place |
| `saturated_frac` | share, 0 to 1 | units of a tanh or sigmoid at their limits on nearly every sample |

## Facts

| name | value |
|---|---|
| `objective` | `cross_entropy`, `binary_cross_entropy`, `mse`, `l1`, `nll`, `other` |
| `criterion` | the class or function that computes the loss |
| `reduction` | `sum`, where the loss is the sum over a batch, not its mean |
| `classes`, `batch_size`, `optimizers` | counts |
| `every_heavy` | at each how many steps the costly numbers come, as the budget has it |
| `epoch` | the epoch that begins at this step |
| `hidden` | one sentence: what cannot be seen in this loop, and why |
| `stalled` | `data`, `step` or `loop`: where the training has hung, by the stack of its thread; `null` once it goes on |
| `stalled_at` | file, line and function of that, the innermost that is not installed code first |
| `memory_limit_bytes`, `device_memory_bytes` | what the process may use of the host (its container, if that has less), and the CUDA devices' memory |
| `gradients_kept` | `true`: at the first backward pass of three steps in a row the gradients of the step before were still there |
| `probabilities_into` | the loss function that takes logits and was given probabilities; `null` when no more |
| `evaluates_in_train_mode` | whether an evaluation with a loss ran in training mode, in a model with dropout or batch normalisation |
| `trains_in_eval_mode` | whether such a model, all of it, has stood in evaluation mode for 5 training steps |
| `ungrouped_parameters` | how many trainable numbers are in no parameter group, and nobody else changes |
| `ungrouped_layers` | the names of up to five layers that hold them |
| `scheduler` | the class of the learning rate scheduler |
| `scheduler_period` | after how many of its calls it repeats or ends; `null` if it has no such number |
| `scheduler_steps_per` | `step` or `epoch`: how often it is called |

The facts from `gradients_kept` to `ungrouped_layers` are said only once they are so, and again when they no longer
are. Those of gradients and losses are looked for on the first 10 steps and then on each 100th.

"""


def rules_page() -> str:
    """Every rule's definition, which is its docstring."""
    from monitor.rules import RULES

    lines = [MADE, "# The rules\n\n", f"{len(RULES)} rules judge a run. `bedside rules NAME` prints one of them.\n"]
    for rule in RULES:
        module = inspect.getmodule(rule.check)
        head, _, body = inspect.cleandoc(module.__doc__ or "").partition("\n")
        definition = body.partition("\n>>>")[0].strip("\n")
        lines += [f"\n## {rule.name}\n\n", f"{head}\n\n", f"```text\n{definition.rstrip()}\n```\n"]
    return "".join(lines)


def wire_page() -> str:
    """Every message with its fields, types and defaults."""
    from probe import wire

    values = [
        wire.Column,
        wire.Selection,
        wire.Layer,
        wire.Group,
        wire.LayerStats,
        wire.ClassCounts,
        wire.Mark,
        wire.Fact,
        wire.Action,
    ]
    lines = [MADE, WIRE_HEAD.format(version=wire.SCHEMA_VERSION), "## Messages\n"]
    lines += [struct_section(cls, f"`{name}`") for name, cls in wire.MESSAGES.items()]
    lines += ["\n## Parts of messages\n"]
    lines += [struct_section(cls, cls.__name__) for cls in values]
    return "".join(lines)


def struct_section(cls: type[msgspec.Struct], title: str) -> str:
    lines = [f"\n### {title}\n\n{inspect.cleandoc(cls.__doc__ or '')}\n\n"]
    if cls.__struct_config__.array_like:
        lines.append("Sent as an array, in this order.\n\n")
    lines.append("| field | type | default |\n|---|---|---|\n")
    hints = get_type_hints(cls)
    lines += [
        f"| `{field.name}` | {type_name(hints[field.name])} | {default_name(field)} |\n"
        for field in msgspec.structs.fields(cls)
    ]
    return "".join(lines)


def type_name(hint: Any) -> str:
    name = hint.__name__ if isinstance(hint, type) and not hasattr(hint, "__args__") else str(hint)
    return "`" + name.replace("probe.wire.", "").replace("typing.", "").replace("|", "or") + "`"


def default_name(field: msgspec.structs.FieldInfo) -> str:
    if field.required:
        return "required"
    if field.default_factory is not msgspec.NODEFAULT:
        return f"`{field.default_factory()!r}`"
    value = getattr(field.default, "value", field.default)
    return f"`{value!r}`" if value != "" else "empty"


def commands_page() -> str:
    """What ``--help`` says, of every command."""
    from monitor.cli import parser

    os.environ["COLUMNS"] = "100"
    top = parser()
    lines = [MADE, "# Commands\n\n", f"```text\n{top.format_help().rstrip()}\n```\n"]
    choices = next(action.choices for action in top._actions if isinstance(action, argparse._SubParsersAction))
    for name, sub in choices.items():
        lines += [f"\n## bedside {name}\n\n", f"```text\n{sub.format_help().rstrip()}\n```\n"]
    return "".join(lines)


KEYS_HEAD = """# Keys

Every key of the screen. The name is what `config.toml` calls the command (in `$BEDSIDE_HOME`, else in the folder that
`bedside doctor` names); a name or a key that it does not know is refused with the nearest one. A key is its
character, its sign in the table below, `^f` for ctrl+f, or Textual's name: `escape`, `pagedown`, `shift+left`.

```toml
[screen]
theme = "paper"      # night, night256, paper, paper256, ansi16, mono; without it the terminal decides
fps = 2              # frames a second, 0.5 to 30
ascii = false
bell = true          # BEL on a new critical alert
notify = true        # and a desktop note, where the terminal takes one
title = true         # the state of the run in the window's title

[keys]
log = "y"
filter = ["/", "F"]  # several keys
page-down = "^f"     # ^ is ctrl
```
"""


def keys_page() -> str:
    from itertools import groupby

    from monitor.app.keymap import COMMANDS, sign

    parts = [KEYS_HEAD]
    for group, commands in groupby(COMMANDS, lambda command: command.group):
        parts.append(f"\n## {group.capitalize()}\n\n| key | what it does | name |\n|---|---|---|\n")
        for command in commands:
            keys = " ".join(f"`{sign(key)}`" for key in command.keys.split(","))
            parts.append(f"| {keys} | {command.words} | `{command.name}` |\n")
    return "".join(parts)


def readme() -> str:
    """The README with its table of rules made anew."""
    from monitor.rules import RULES

    rows = ["| alert | how bad | what it means |\n|---|---|---|\n"]
    for rule in RULES:
        head = inspect.cleandoc(inspect.getmodule(rule.check).__doc__ or "").partition("\n")[0]
        rows.append(f"| [`{rule.name}`](docs/reference/rules.md#{rule.name}) | {rule.severity.label} | {head} |\n")
    before, _, rest = (ROOT / "README.md").read_text().partition(RULES_BEGIN)
    return before + RULES_BEGIN + "\n" + "".join(rows) + RULES_END + rest.partition(RULES_END)[2]


PAGES = {
    REFERENCE / "rules.md": rules_page,
    REFERENCE / "wire.md": wire_page,
    REFERENCE / "commands.md": commands_page,
    REFERENCE / "keys.md": keys_page,
    ROOT / "README.md": readme,
}


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument(
        "--check", action="store_true", help="change nothing; exit with 1 if a page is out of date"
    )
    check = arguments.parse_args().check
    stale = 0
    for path, make in PAGES.items():
        name, made = path.name, make()
        written = path.read_text() if path.exists() else ""
        if made == written:
            continue
        stale += 1
        if not check:
            path.write_text(made)
        print(f"{name}: {'out of date; run `make docs`' if check else 'written'}")
        if check:
            diff = difflib.unified_diff(written.splitlines(True), made.splitlines(True), name, "made", n=1)
            print("".join(diff)[:2000])
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
