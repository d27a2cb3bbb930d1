"""Train the heads of a DOS model on features of its trunk, which stays as it is."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import torch

from scatterml_ase.phonons.dos_model import DOSHead
from scatterml_ase.training.config import OptimizerConfig
from scatterml_ase.training.optimize import RunningMean, learning_rate, make_optimizer, put_weights
from scatterml_ase.training.phonons.config import DosRunConfig
from scatterml_ase.training.phonons.dos_loss import dos_loss
from scatterml_ase.training.phonons.dos_samples import DosSample, dos_batch

_log = logging.getLogger(__name__)


def train_head(
    head: DOSHead,
    train: Sequence[DosSample],
    development: Sequence[DosSample],
    run: DosRunConfig,
    optimizer: OptimizerConfig,
) -> list[dict[str, float]]:
    """Train one head, in place; return errors on the development crystals, a row per epoch.

    The weights kept are the running mean of the best epoch.
    """
    torch.manual_seed(run.seed)
    _standardize(head, train)
    adam, mean = make_optimizer(head, optimizer), RunningMean(head, optimizer.ema_decay)
    best, kept, rows, step = np.inf, dict(mean.weights), [], 0
    count = int(np.ceil(len(train) / run.batch_crystals))
    for epoch in range(run.epochs):
        order = np.random.default_rng((run.seed, epoch)).permutation(len(train))
        head.train()
        for k, members in enumerate(np.array_split(order, count)):
            progress = (epoch + k / count) / run.epochs
            for group in adam.param_groups:
                group["lr"] = learning_rate(
                    optimizer, step=step, progress=progress, plateau_factor=1.0
                )
            adam.zero_grad(set_to_none=True)
            loss = weighed(dos_loss(head, dos_batch([train[i] for i in members])), run)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(head.parameters(), optimizer.clip_gradient or torch.inf)
            adam.step()
            mean.update(head, step)
            step += 1
        with mean.applied_to(head):
            row = judge(head.eval(), development, run)
        rows.append({"epoch": epoch, **row})
        if row["loss"] < best:
            best, kept = row["loss"], {k: v.clone() for k, v in mean.weights.items()}
        _log.info("head %d, epoch %d: %s", run.seed, epoch,
                  " ".join(f"{k} {v:.4f}" for k, v in row.items()))  # fmt: skip
    put_weights(head, kept)
    return rows


def weighed(parts: dict[str, torch.Tensor], run: DosRunConfig) -> torch.Tensor:
    """Return the loss."""
    terms = [getattr(run, name) * value for name, value in parts.items()]
    return torch.stack(terms).sum()


@torch.no_grad()
def judge(head: DOSHead, samples: Sequence[DosSample], run: DosRunConfig) -> dict[str, float]:
    """Return the parts of the loss, and the loss, over crystals."""
    sums: dict[str, float] = {}
    for start in range(0, len(samples), run.batch_crystals):
        part = samples[start : start + run.batch_crystals]
        parts = dos_loss(head, dos_batch(part))
        parts["loss"] = weighed(parts, run)
        for name, value in parts.items():
            sums[name] = sums.get(name, 0.0) + value.item() * len(part) / len(samples)
    return sums


def _standardize(head: DOSHead, train: Sequence[DosSample]) -> None:
    """Let the head see features of mean zero and width one."""
    features = np.concatenate([sample.features for sample in train])
    head.mean.copy_(torch.from_numpy(features.mean(axis=0)))
    head.spread.copy_(torch.from_numpy(features.std(axis=0) + 1e-3))
