"""Give a trained model its committee: members of its last layer, calibrated, and a measure."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from scatterml_ase.card import Card, read_card
from scatterml_ase.companions import save_companion
from scatterml_ase.errors import AccuracyWarning, InputError, explain, warn
from scatterml_ase.nn.readout import Readout
from scatterml_ase.potential.committee import COMMITTEE, CommitteeCalculator
from scatterml_ase.potential.features import FeatureReader
from scatterml_ase.potential.members import LastLayerCommittee, deviations
from scatterml_ase.store import load_model
from scatterml_ase.training.batches import labelled_graph
from scatterml_ase.training.calibration import (
    ENERGY_FLOOR,
    FORCE_FLOOR,
    Judged,
    best_scale,
    surprise,
)
from scatterml_ase.training.config import read_config
from scatterml_ase.training.data import Frame, require_species
from scatterml_ase.training.known_ground import QUANTILE, fit_measure
from scatterml_ase.training.last_layer import Posterior, normal_matrix
from scatterml_ase.training.metrics import model_cutoff, predict
from scatterml_ase.training.prepare import Dataset, load_dataset

_log = logging.getLogger(__name__)

_REGULARISERS = (1e-8, 1e-6, 1e-4, 1e-2)
_ROWS = 3000  # force components that the normal matrix is made of, all structures together
_QUIETEST = 0.03  # least noise of a structure, in units of the mean: some are exact by symmetry


def fit_committee(
    folder: str | Path,
    dataset: Dataset,
    *,
    members: int = 8,
    seed: int = 0,
    progress: bool = False,
) -> Judged:
    """Fit the committee of a model to the data it was trained on, and store it with the model.

    The training part makes the Gaussian the members are drawn from, and the cloud from which the
    extrapolation is measured. The validation part decides the prior, the scale of the members
    (by the forces), the factor on the spread of energies, and the distance of grade 1. Writes
    ``committee.safetensors`` and the entry ``companions.committee`` of ``card.json``.

    Parameters
    ----------
    folder
        The folder of the model.
    dataset
        What it was trained on, split as it was then (:func:`dataset_of`).
    members
        Their number; the spread of one force component is known to 1 / √(2 members).
    seed
        Of the drawing.
    progress
        Show progress bars.

    Returns
    -------
    Judged
        What the stored committee says about the validation structures; ``print`` shows a table.

    Raises
    ------
    InputError
        If the model's last layer is not linear, or the data do not fit it.
    """
    folder = Path(folder).resolve()  # a bare name would mean a shipped model of that name
    model = load_model(folder, "float64")
    card: Any = model.card
    _check(model, card, dataset, members)
    reader = FeatureReader(model)
    rows = max(1, min(48, -(-_ROWS // len(dataset.train))))
    energy_noise, force_noise = _noise(model, dataset.train)
    normal = normal_matrix(
        reader,
        dataset.train,
        energy_noise=energy_noise,
        force_noise=force_noise,
        components=rows,
        seed=seed,
        progress=progress,
    )
    noise = torch.randn(
        members, len(normal), dtype=torch.float64, generator=torch.Generator().manual_seed(seed)
    )
    drawn = _calibrated(model, Posterior.of(normal), noise, dataset.validation)
    measure = fit_measure(reader, dataset.train, dataset.validation, seed=seed, progress=progress)
    tensors = {
        "members": drawn.members.to(torch.float32),
        "energy_factor": torch.tensor(drawn.energy_factor, dtype=torch.float64),
        **measure.to_tensors(),
    }
    facts: dict[str, Any] = {
        "members": members,
        "seed": seed,
        "data_sha256": dataset.hash,
        "regulariser": drawn.regulariser,
        "grade_1": f"{QUANTILE:.0%} of held-out atoms are not farther",
    }
    save_companion(folder, COMMITTEE, tensors, facts)
    judged = judge(CommitteeCalculator(folder), dataset.validation, progress=progress)
    save_companion(folder, COMMITTEE, tensors, {**facts, "validation": judged.to_dict()})
    return judged


def dataset_of(
    folder: str | Path,
    data: Sequence[str | Path] = (),
    *,
    config: str | Path | None = None,
) -> Dataset:
    """Read the data of a model and split them as its training did.

    Parameters
    ----------
    folder
        The folder of the model.
    data
        Data files, instead of those the training file names.
    config
        The training file; ``training.toml`` in the folder of the model by default.

    Raises
    ------
    InputError
        If the folder holds no model, there is no training file, or the data cannot be used.
    """
    card = read_card(folder)
    path = Path(config) if config is not None else Path(folder) / "training.toml"
    if not path.is_file():
        raise InputError(
            explain(
                f"There is no training file {str(path)!r}",
                "it says which structures the model was trained on and which were held out",
                "Name it (--config FILE), or keep it as training.toml in the model's folder",
            )
        )
    run = read_config(path, data=data)
    part = card.training.get("fraction")  # may have been chosen on the command line
    if part is not None:
        run = replace(run, data=replace(run.data, fraction=float(part)))
    return load_dataset(run)


def judge(
    calculator: CommitteeCalculator, frames: Sequence[Frame], *, progress: bool = False
) -> Judged:
    """Compare what a committee says about labelled structures with its errors on them.

    Parameters
    ----------
    calculator
        Any committee.
    frames
        Labelled structures it was not trained on.
    progress
        Show a progress bar.
    """
    names = ["energy", "forces", "energy_spread", "force_spread"]
    if calculator.knows_extrapolation:
        names.append("extrapolation")
    energy_errors, energy_spreads, force_errors, force_spreads = [], [], [], []
    grades = []
    for frame in tqdm(frames, desc="judging", unit="structure", disable=not progress, leave=False):
        said = calculator.evaluate([frame.atoms], names)[0]
        size = len(frame.atoms)
        energy_errors.append((said["energy"] - frame.energy) / size)
        energy_spreads.append(said["energy_spread"] / size)
        force_errors.append(said["forces"] - frame.forces)
        force_spreads.append(said["force_spread"])
        if calculator.knows_extrapolation:
            grades.append(said["extrapolation"])
    groups = [frame.group for frame in frames]
    energies = np.array(energy_errors), np.array(energy_spreads)
    return Judged(groups, *energies, force_errors, force_spreads, grades)


@dataclass(frozen=True)
class _Drawn:
    """Calibrated members δ (members, p), and how they came to be."""

    members: Tensor
    energy_factor: float
    regulariser: float


def _calibrated(
    model: nn.Module, posterior: Posterior, noise: Tensor, frames: Sequence[Frame]
) -> _Drawn:
    """Draw members; choose prior, scale and factor that make the errors on ``frames`` likeliest."""
    count, cutoff = len(noise), model_cutoff(model)
    draws = [posterior.draw(noise, regulariser) for regulariser in _REGULARISERS]
    # Small members, so that none reaches the bend: all is linear in their size.
    size = 1e-3 / max(float(draw.abs().max()) for draw in draws)
    committee = LastLayerCommittee(model, size * torch.cat(draws))
    graphs = [labelled_graph(frame, cutoff) for frame in frames]
    predictions = predict(model, graphs)
    parts: list[tuple[list[float], list[np.ndarray], list[np.ndarray]]]
    parts = [([], [], []) for _ in draws]  # energy spreads, force spreads, force errors
    for frame, graph, prediction in zip(frames, graphs, predictions, strict=True):
        energies, forces, _ = deviations(committee, graph)
        error = prediction.forces - frame.forces
        for k, part in enumerate(parts):
            own = slice(k * count, (k + 1) * count)
            energy = energies[own].square().mean().sqrt() / (size * len(frame.atoms))
            force = forces[own].square().mean(dim=(0, 2)).sqrt() / size
            part[0].append(float(energy))
            part[1].append(np.repeat(force.numpy(), 3))
            part[2].append(error.ravel())
    energy_errors = np.array(
        [(p.energy - f.energy) / len(f.atoms) for f, p in zip(frames, predictions, strict=True)]
    )
    candidates = []
    for regulariser, draw, part in zip(_REGULARISERS, draws, parts, strict=True):
        energy_spreads, spreads = np.array(part[0]), np.concatenate(part[1])
        errors = np.concatenate(part[2])
        scale = best_scale(errors, spreads, FORCE_FLOOR)
        factor = best_scale(energy_errors, scale * energy_spreads, ENERGY_FLOOR)
        score = surprise(errors, np.hypot(scale * spreads, FORCE_FLOOR))
        candidates.append((score, _Drawn(scale * draw, factor, regulariser)))
        _log.info(
            "regulariser %.0e: scale %.3g, energy factor %.3g, surprise %.4f",
            regulariser, scale, factor, score,
        )  # fmt: skip
    return min(candidates, key=lambda pair: pair[0])[1]


def _noise(model: nn.Module, frames: Sequence[Frame]) -> tuple[list[float], list[float]]:
    """Return the noise of the energy per atom (eV) and of a force component (eV/Å) of each frame.

    A structure whose forces are described ten times better than the average binds the weights so
    much more, by its energy too: else the quiet crystal would be as uncertain as the melt.
    """
    cutoff = model_cutoff(model)
    energy, force = [], []
    for frame in frames:
        (said,) = predict(model, [labelled_graph(frame, cutoff)])
        energy.append((said.energy - frame.energy) / len(frame.atoms))
        force.append(np.sqrt(np.mean((said.forces - frame.forces) ** 2)))
    sizes = [len(frame.atoms) for frame in frames]
    mean_energy = np.sqrt(np.mean(np.square(energy)))
    mean_force = np.sqrt(np.average(np.square(force), weights=sizes))
    share = np.maximum(np.array(force) / max(mean_force, FORCE_FLOOR), _QUIETEST)
    energy_noise = np.maximum(share * mean_energy, ENERGY_FLOOR)
    return energy_noise.tolist(), np.maximum(share * mean_force, FORCE_FLOOR).tolist()


def _check(model: nn.Module, card: Card, dataset: Dataset, members: int) -> None:
    require_species([*dataset.train, *dataset.validation], card.species, who="The model")
    if members < 2:
        raise InputError(
            explain(f"members = {members}", "a spread needs at least two", "Pass 8, or more")
        )
    readouts = any(isinstance(module, Readout) for module in model.modules())
    if not (readouts and hasattr(model.config, "energy_scale")):
        raise InputError(
            explain(
                f"{type(model).__name__} has no readouts that are scaled to energies",
                "members differ in the last linear layer of the readouts",
                "Train several models and pass them to CommitteeCalculator",
            )
        )
    known = card.training.get("data_sha256")
    if known is not None and known != dataset.hash:
        warn(
            explain(
                f"The data are not those that model {card.name!r} was trained on",
                f"their sha256 is {dataset.hash[:12]}…, its card says {str(known)[:12]}…; "
                "structures it was trained on may count as held out, and the spreads come out "
                "too small",
                "Pass the original files and training file",
            ),
            AccuracyWarning,
        )
