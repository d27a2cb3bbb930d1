"""The figure of the scaling: cost against size on logarithmic axes, with a straight line."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("Agg")
import matplotlib.pyplot as plt


def draw(results: list[dict], path: Path) -> None:
    """Draw CPU time per call of each dtype; the dashed line is proportional to the atoms."""
    figure, axes = plt.subplots(figsize=(5.2, 3.8), layout="constrained")
    for result, marker in zip(results, "os", strict=False):
        atoms = np.array([row["atoms"] for row in result["rows"]])
        cpu = np.array([row["cpu"] for row in result["rows"]])
        each = np.median((cpu / atoms)[atoms > 1000])
        label = f"{result['dtype']}, {each * 1e6:.0f} µs per atom"
        (line,) = axes.loglog(atoms, cpu, marker, label=label, markersize=5)
        axes.loglog(atoms, each * atoms, "--", color=line.get_color(), linewidth=1)
    axes.set(xlabel="atoms", ylabel="CPU time for energy, forces, stress (s)")
    axes.set_title("Silicon, one thread, through ASE", fontsize=10)
    axes.grid(which="major", alpha=0.3)
    axes.legend(frameon=False)
    figure.savefig(path, dpi=160)
    plt.close(figure)
