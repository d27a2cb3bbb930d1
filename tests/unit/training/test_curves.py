"""The picture of a run can be drawn at any moment, and costs the run next to nothing."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest

from scatterml_ase.training import curves
from scatterml_ase.training.curves import LiveCurves, plot_learning_curves


def row(epoch: int, *, validated: bool = True) -> dict[str, float]:
    error = 100.0 / (epoch + 1) if validated else math.nan
    names = ("valid_energy_mae", "valid_force_mae", "valid_stress_mae")
    return {
        "epoch": epoch,
        "loss": 3.0 / (epoch + 1),
        "train_energy_mae": 90.0 / (epoch + 1),
        "train_force_mae": 80.0,
        **dict.fromkeys(names, error),
        "seconds": 30.0 * epoch,
    }


@pytest.mark.parametrize(
    "rows",
    [
        [row(0)],
        [row(0, validated=False)],
        [row(k, validated=k % 3 == 2) for k in range(7)],
        [row(k) for k in range(100)],
        [{**row(k), "train_energy_mae": 0.0} for k in range(3)],
    ],
    ids=["first", "unvalidated", "few", "many", "perfect"],
)
def test_any_log_can_be_drawn(tmp_path, rows):
    plot_learning_curves(rows, tmp_path / "c.png", title="x", best=len(rows) - 1)
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")
    assert len(list(tmp_path.iterdir())) == 1


def test_the_picture_is_drawn_anew_but_rarely(tmp_path, monkeypatch):
    now, drawn = 0.0, []

    def draw(rows, path, **options) -> None:
        nonlocal now
        drawn.append(now)
        now += 0.5  # what drawing takes

    monkeypatch.setattr(curves, "plot_learning_curves", draw)
    monkeypatch.setattr(curves, "time", SimpleNamespace(monotonic=lambda: now))
    live = LiveCurves(tmp_path / "c.png", title="x")
    while now < 200:
        live.update([row(0)], best=0)
        now += 1.0
    assert drawn == [10.0, 60.5, 111.0, 161.5]  # after 10 s, then a hundredfold of its cost later
