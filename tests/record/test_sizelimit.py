"""A run file that grows too large loses per-layer detail, the oldest first, and never a scalar."""

import numpy as np
import pytest

from monitor import rows
from monitor.record import pages
from monitor.record.keeper import Keeper
from monitor.record.runfile import read_run
from probe import packing, wire

LAYERS = 200


def batch(seq: int) -> wire.Batch:
    """64 steps with a loss each, and 4 looks at the layers."""
    steps = [float(64 * (seq - 1) + row) for row in range(1, 65)]
    norms = np.random.default_rng(seq).random(LAYERS, dtype=np.float32).tobytes()
    return wire.Batch(
        seq=seq,
        start=int(steps[0]),
        rows=64,
        times_s=packing.pack_floats(steps),
        scalars={"train/loss": wire.Column(values=packing.pack_floats([1 / step for step in steps]))},
        layers=[
            wire.LayerStats(step=int(step), stats={"grad_norm": wire.Column(values=norms)}) for step in steps[::16]
        ],
    )


def recorded(path, count: int, limit_bytes: int) -> tuple[Keeper, list[str]]:
    said: list[str] = []
    keeper = Keeper(path, said.append, limit_bytes=limit_bytes)
    for seq in range(1, count + 1):
        one = batch(seq)
        keeper.batch(one, wire.encode(one))
        keeper.commit()
    return keeper, said


def batches(path) -> list[wire.Batch]:
    return [message for message in read_run(path) if isinstance(message, wire.Batch)]


def losses(path) -> tuple[np.ndarray, np.ndarray]:
    """Steps and values."""
    found = [rows.points_of(page, "train/loss") for page in batches(path)]
    return np.concatenate([steps for steps, _ in found]), np.concatenate([values for _, values in found])


@pytest.mark.parametrize("cut", [1, 2, 5, 7])
def test_a_thinned_page_can_still_be_cut_between_any_two_batches(cut):
    parts = [batch(seq) for seq in range(1, 9)]
    whole = rows.merge(parts)

    thin, extents = pages.thinned(whole, pages.extents_of(parts))
    rest = pages.after(thin, extents, cut)

    assert [stats.step for stats in thin.layers] == [stats.step for stats in whole.layers[::2]]
    assert rest.layers == [stats for stats in thin.layers if stats.step > 64 * cut]
    assert rows.points_of(rest, "train/loss")[0].tolist() == list(range(64 * cut + 1, 64 * 8 + 1))


def test_the_file_stays_within_the_limit_and_keeps_every_scalar(tmp_path):
    limit = 2_000_000
    keeper, said = recorded(tmp_path / "thin.bedside", 600, limit)
    free, _ = recorded(tmp_path / "free.bedside", 600, 1 << 40)

    assert said == []
    assert keeper._file.size_bytes() < 1.1 * limit
    assert free._file.size_bytes() > 1.3 * limit
    for thin, whole in zip(losses(keeper.path), losses(free.path), strict=True):
        assert thin.tolist() == whole.tolist()


def test_the_newest_detail_is_whole_and_the_oldest_the_thinnest(tmp_path):
    keeper, _ = recorded(tmp_path / "thin.bedside", 600, 2_000_000)

    counts = [len(page.layers) / page.rows for page in batches(keeper.path)]

    assert counts[-30:] == [1 / 16] * 30
    assert counts[0] < 1 / 16
    assert counts == sorted(counts)


def test_when_thinning_does_not_help_it_says_so_once_and_records_on(tmp_path):
    keeper, said = recorded(tmp_path / "tiny.bedside", 300, 1 << 16)

    steps, _ = losses(keeper.path)

    assert len(said) == 1
    assert "Scalars are kept whatever they take" in said[0]
    assert steps.tolist() == list(range(1, 64 * 300 + 1))


def test_the_limit_is_that_of_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("BEDSIDE_RUN_MIB", "1")
    keeper = Keeper(tmp_path / "own.bedside", print)

    assert keeper._limit._limit_bytes == 1 << 20
