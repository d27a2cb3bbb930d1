"""Train the heads of a DOS model on features of its trunk, which stays as it is."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from scatterml_ase.phonons.dos_model import DOSHeads
from scatterml_ase.training.config import OptimizerConfig
from scatterml_ase.training.optimize import RunningMean, learning_rate, make_optimizer, put_weights
from scatterml_ase.training.phonons.config import DosRunConfig
from scatterml_ase.training.phonons.dos_loss import dos_errors
from scatterml_ase.training.phonons.dos_samples import DosBatch, DosSample, dos_batch

_log = logging.getLogger(__name__)


def train_heads(
    heads: DOSHeads,
    train: Sequence[DosSample],
    development: Sequence[DosSample],
    run: DosRunConfig,
    optimizer: OptimizerConfig,
    *,
    progress: bool = False,
) -> list[dict[str, float]]:
    """Train in place; return errors on the development crystals, a row per epoch.

    Crystals weigh differently in each member, by a random number of exponential distribution (the
    Bayesian bootstrap, Rubin, doi:10.1214/aos/1176345338). The weights kept are the running mean of
    the best epoch.
    """
    _standardize(heads, train)
    adam, mean = make_optimizer(heads, optimizer), RunningMean(heads, optimizer.ema_decay)
    members = len(heads.positions)
    weights = np.random.default_rng(run.seed).exponential(size=(members, len(train)))
    best, kept, rows, step = np.inf, dict(mean.weights), [], 0
    count = int(np.ceil(len(train) / run.batch_crystals))
    for epoch in tqdm(range(run.epochs), desc="heads", unit=" epochs", disable=not progress):
        order = np.random.default_rng((run.seed, epoch)).permutation(len(train))
        heads.train()
        for k, chosen in enumerate(np.array_split(order, count)):
            done = (epoch + k / count) / run.epochs
            for group in adam.param_groups:
                group["lr"] = learning_rate(optimizer, step=step, progress=done, plateau_factor=1.0)
            adam.zero_grad(set_to_none=True)
            batch = dos_batch([train[i] for i in chosen])
            weight = torch.from_numpy(weights[:, chosen]).float()
            loss = (weight * weighed(errors_of(heads, batch), run)).mean()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(heads.parameters(), optimizer.clip_gradient or torch.inf)
            adam.step()
            mean.update(heads, step)
            step += 1
        with mean.applied_to(heads):
            row = judge(heads.eval(), development, run)
        rows.append({"epoch": epoch, **row})
        if row["loss"] < best:
            best, kept = row["loss"], {k: v.clone() for k, v in mean.weights.items()}
        text = " ".join(f"{name} {value:.4f}" for name, value in row.items())
        _log.info("heads, epoch %d: %s", epoch, text)
    put_weights(heads, kept)
    return rows


def errors_of(heads: DOSHeads, batch: DosBatch) -> dict[str, Tensor]:
    """Return the parts of the loss of a batch."""
    found = heads(batch.features, batch.einstein, batch.batch, batch.multiplicity)
    return dos_errors(found, batch)


def weighed(parts: dict[str, Tensor], run: DosRunConfig) -> Tensor:
    """Return the loss (members, crystals)."""
    return torch.stack([getattr(run, name) * value for name, value in parts.items()]).sum(0)


@torch.no_grad()
def judge(heads: DOSHeads, samples: Sequence[DosSample], run: DosRunConfig) -> dict[str, float]:
    """Return the parts of the loss, and the loss, over members and crystals."""
    sums: dict[str, float] = {}
    for start in range(0, len(samples), run.batch_crystals):
        part = samples[start : start + run.batch_crystals]
        parts = errors_of(heads, dos_batch(part))
        parts["loss"] = weighed(parts, run)
        for name, value in parts.items():
            sums[name] = sums.get(name, 0.0) + value.mean().item() * len(part) / len(samples)
    return sums


@torch.no_grad()
def common_errors(heads: DOSHeads, samples: Sequence[DosSample]) -> tuple[np.ndarray, np.ndarray]:
    """Return errors of ln(mean energy) of the members' mean, and their own scale for them, (n,)."""
    errors, scales = [], []
    for sample in samples:
        batch = dos_batch([sample])
        found = heads(batch.features, batch.einstein, batch.batch, batch.multiplicity)
        below = found.cumulative(batch.edges[batch.batch]).mean(0).numpy()
        shares = sample.multiplicity / sample.multiplicity.sum()
        centres = (sample.edges[1:] + sample.edges[:-1]) / 2
        means = [shares @ counts @ centres for counts in (np.diff(below, axis=1), sample.counts)]
        errors.append(np.log(max(means[0], 1e-3) / max(means[1], 1e-3)))
        scales.append(found.stretch.mean().item())
    return np.array(errors), np.array(scales)


def calibrated_scale(errors: np.ndarray, scales: np.ndarray) -> float:
    """Return the factor on scales with which Laplace intervals of 50 and 90 % hold best."""
    ratios = np.abs(errors) / scales
    halves = np.quantile(ratios, 0.5) / np.log(2)
    most = np.quantile(ratios, 0.9) / np.log(10)
    return float(np.sqrt(halves * most))


def _standardize(heads: DOSHeads, train: Sequence[DosSample]) -> None:
    """Let the heads see features of mean zero and width one."""
    features = np.concatenate([sample.features for sample in train])
    heads.mean.copy_(torch.from_numpy(features.mean(axis=0)))
    heads.spread.copy_(torch.from_numpy(features.std(axis=0) + 1e-3))
