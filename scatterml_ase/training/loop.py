"""One plain training loop: ``train("potential.toml")``."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch_geometric.data import Data
from tqdm import tqdm

from scatterml_ase.atomic_write import writable_folder
from scatterml_ase.errors import InputError, explain
from scatterml_ase.graph import batch_graphs
from scatterml_ase.training.batches import batch_errors, epoch_order, plan_batches
from scatterml_ase.training.checkpoint import Moving, RunState, load_checkpoint, save_checkpoint
from scatterml_ase.training.config import TrainingConfig, read_config
from scatterml_ase.training.losses import Errors, energy_weight, loss_value
from scatterml_ase.training.machine import Clock, deferred_signals, threads
from scatterml_ase.training.metrics import DatasetMetrics, model_cutoff, predict, summarize
from scatterml_ase.training.optimize import (
    RunningMean,
    copy_weights,
    learning_rate,
    make_optimizer,
)
from scatterml_ase.training.prepare import Dataset, build_graphs, build_model, load_dataset
from scatterml_ase.training.report import epoch_line, finish_run, write_rows

_log = logging.getLogger(__name__)


def train(
    config: TrainingConfig | str | Path,
    *,
    output: str | Path | None = None,
    data: str | Path | None = None,
    resume: bool = True,
    progress: bool = True,
) -> Path:
    """Train a potential and return the folder of the finished model.

    Parameters
    ----------
    config
        A training file (TOML) or the configuration it holds.
    output
        Folder of the run, ``runs/<name>`` by default. It receives ``checkpoint.safetensors``,
        ``log.csv`` (a row per epoch), ``training.log``, ``parity.png`` and ``model/``.
    data
        Data file to train on instead of the one the configuration names.
    resume
        Go on from the checkpoint in ``output``, if there is one; the result is the same as
        that of a run which never stopped. Otherwise start anew.
    progress
        Show a progress bar.

    Raises
    ------
    InputError
        If the configuration or the data cannot be used, before anything is computed; or if
        the training diverges.
    KeyboardInterrupt
        After Ctrl-C or SIGTERM, when the checkpoint from which the run goes on is written.
    """
    if not isinstance(config, TrainingConfig):
        config = read_config(config, data=[data] if data else [])
    folder = writable_folder(Path(output or Path("runs") / config.name), create=True)
    dataset = load_dataset(config)
    with threads(config.run.threads):
        run = _Run.prepare(config, dataset, folder, progress=progress)
        if not resume:
            for old in (run.checkpoint, run.diary):
                old.unlink(missing_ok=True)
        if run.checkpoint.exists():
            load_checkpoint(run.checkpoint, run.moving, identity=run.identity)
            _log.info("resumed at epoch %d from %s", run.moving.state.epoch, run.checkpoint)
        run.fit(progress=progress)
        return run.finish()


@dataclass
class _Run:
    """A run in progress: what stays the same, and what moves."""

    config: TrainingConfig
    dataset: Dataset
    folder: Path
    train_graphs: list[Data]
    validation_graphs: list[Data]
    moving: Moving

    @classmethod
    def prepare(
        cls, config: TrainingConfig, dataset: Dataset, folder: Path, *, progress: bool
    ) -> _Run:
        """Build model, optimiser and graphs."""
        dtype = getattr(torch, config.run.dtype)
        model = build_model(config.model, dataset.train, seed=config.run.seed, dtype=dtype)
        cutoff = model_cutoff(model)
        train_graphs = build_graphs(dataset.train, cutoff, progress=progress)
        validation_graphs = build_graphs(dataset.validation, cutoff, progress=progress)
        moving = Moving(
            model=model,
            optimizer=make_optimizer(model, config.optimizer),
            mean=RunningMean(model, config.optimizer.ema_decay),
            best=copy_weights(model),
            state=RunState(),
        )
        return cls(config, dataset, folder, train_graphs, validation_graphs, moving)

    @property
    def checkpoint(self) -> Path:
        return self.folder / "checkpoint.safetensors"

    @property
    def diary(self) -> Path:
        return self.folder / "training.log"

    @property
    def identity(self) -> dict[str, Any]:
        """What a resumed run must share with the run it resumes."""
        config = self.config.to_dict()
        for free in ("epochs", "minutes", "checkpoint_minutes", "patience", "threads"):
            del config["run"][free]
        del config["card"], config["data"]["train"], config["data"]["validation"]
        return {"config": config, "data": self.dataset.hash}

    def fit(self, *, progress: bool) -> None:
        """Run the epochs that are still to be done."""
        state, run = self.moving.state, self.config.run
        clock = Clock(state.seconds)
        saved = clock.seconds
        with (
            deferred_signals() as stopped,
            tqdm(
                total=run.epochs,
                initial=state.epoch,
                desc="training",
                unit="epoch",
                disable=not progress,
            ) as bar,
        ):
            while not self._finished(clock):
                order = epoch_order(len(self.train_graphs), seed=run.seed, epoch=state.epoch)
                batches = plan_batches(self.train_graphs, order, run)
                while state.batch < len(batches):
                    self._step(batches[state.batch], self._progress(len(batches), clock))
                    state.seconds = clock.seconds
                    if stopped() or clock.seconds - saved >= 60 * run.checkpoint_minutes:
                        self.save()
                        saved = clock.seconds
                    if stopped():
                        raise KeyboardInterrupt
                self._end_epoch(clock)
                bar.update()
                bar.set_postfix_str(_short(state.rows[-1]))
        self.save()

    def save(self) -> None:
        """Write a checkpoint."""
        save_checkpoint(self.checkpoint, self.moving, identity=self.identity)

    def finish(self) -> Path:
        """Evaluate the best weights and write model, card and parity plot."""
        return finish_run(
            self.config,
            self.dataset,
            self.moving,
            (self.train_graphs, self.validation_graphs),
            self.folder,
        )

    def _step(self, members: list[int], progress: float) -> None:
        """Learn from one batch."""
        moving, config = self.moving, self.config
        state, optimizer = moving.state, moving.optimizer
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(
                config.optimizer,
                step=state.steps,
                progress=progress,
                plateau_factor=state.plateau_factor,
            )
        batch = batch_graphs([self.train_graphs[index] for index in members])
        errors = batch_errors(moving.model, batch, create_graph=True)
        weight = energy_weight(config.loss, progress)
        loss = loss_value(errors, config.loss, energy_weight=weight)
        _require_finite(loss, state)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if config.optimizer.clip_gradient is not None:
            torch.nn.utils.clip_grad_norm_(
                moving.model.parameters(), config.optimizer.clip_gradient
            )
        optimizer.step()
        moving.mean.update(moving.model, state.steps)
        _accumulate(state.sums, errors, loss)
        state.sums["learning_rate"] = optimizer.param_groups[0]["lr"]
        state.steps += 1
        state.batch += 1

    def _end_epoch(self, clock: Clock) -> None:
        """Validate, choose, log."""
        state = self.moving.state
        row = _training_row(state)
        if (state.epoch + 1) % self.config.run.validate_every == 0:
            metrics = self._validate()
            row |= {
                "valid_energy_mae": metrics.overall.energy_mae,
                "valid_force_mae": metrics.overall.force_mae,
                "valid_stress_mae": metrics.overall.stress_mae,
            }
            self._judge(metrics)
        state.seconds = clock.seconds
        row["seconds"] = round(state.seconds, 1)
        state.rows.append(row)
        state.epoch, state.batch, state.sums = state.epoch + 1, 0, {}
        write_rows(self.folder / "log.csv", state.rows)
        line = epoch_line(row, best=state.best_epoch == row["epoch"])
        _log.info(line)
        with self.diary.open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def _validate(self) -> DatasetMetrics:
        moving = self.moving
        with moving.mean.applied_to(moving.model):
            predictions = predict(moving.model, self.validation_graphs)
        return summarize(self.dataset.validation, predictions)

    def _judge(self, metrics: DatasetMetrics) -> None:
        """Keep the mean weights if they are the best so far; move the plateau schedule."""
        state, optimizer = self.moving.state, self.config.optimizer
        overall = metrics.overall
        score = 1e-3 * (overall.force_mae + self.config.run.select_energy * overall.energy_mae)
        if state.best_score is None or score < state.best_score:
            state.best_score, state.best_epoch = score, state.epoch
            state.stale = state.waited = 0
            self.moving.best = {k: v.clone() for k, v in self.moving.mean.weights.items()}
            return
        state.stale += 1
        state.waited += 1
        if state.stale >= optimizer.plateau_patience:
            state.plateau_factor *= optimizer.plateau_factor
            state.stale = 0

    def _progress(self, batches: int, clock: Clock) -> float:
        """Return the share of the run that is done, by steps or, if that is more, by time."""
        run, state = self.config.run, self.moving.state
        by_steps = (state.epoch + state.batch / batches) / run.epochs
        by_time = clock.seconds / (60 * run.minutes) if run.minutes else 0.0
        return min(max(by_steps, by_time), 1.0)

    def _finished(self, clock: Clock) -> bool:
        run, state = self.config.run, self.moving.state
        if state.epoch == 0:
            return False  # whatever the limits, no untrained model is shipped
        if run.minutes and clock.seconds >= 60 * run.minutes:
            return True
        if run.patience is not None and state.waited >= run.patience:
            _log.info("stopped early: no improvement in %d validations", state.waited)
            return True
        return state.epoch >= run.epochs


def _require_finite(loss: torch.Tensor, state: RunState) -> None:
    if not torch.isfinite(loss):
        raise InputError(
            explain(
                f"The loss is {loss.item()} at step {state.steps} (epoch {state.epoch})",
                "the training diverged",
                "Lower optimizer.learning_rate or optimizer.clip_gradient and start anew "
                "(resume=False, or --fresh)",
            )
        )


def _accumulate(sums: dict[str, float], errors: Errors, loss: torch.Tensor) -> None:
    """Add a batch to the sums of the epoch."""
    for name, values in (("energy", errors.energy), ("force", errors.forces)):
        values = values.detach()
        sums[name] = sums.get(name, 0.0) + float(values.abs().sum())
        sums[f"{name}_count"] = sums.get(f"{name}_count", 0.0) + values.numel()
    sums["loss"] = sums.get("loss", 0.0) + float(loss.detach())
    sums["batches"] = sums.get("batches", 0.0) + 1


def _training_row(state: RunState) -> dict[str, float]:
    sums = state.sums
    return {
        "epoch": state.epoch,
        "steps": state.steps,
        "learning_rate": sums["learning_rate"],
        "loss": sums["loss"] / sums["batches"],
        "train_energy_mae": 1e3 * sums["energy"] / sums["energy_count"],
        "train_force_mae": 1e3 * sums["force"] / sums["force_count"],
        "valid_energy_mae": float("nan"),
        "valid_force_mae": float("nan"),
        "valid_stress_mae": float("nan"),
        "seconds": 0.0,
    }


def _short(row: dict[str, float]) -> str:
    return f"E {row['valid_energy_mae']:.1f} meV/atom, F {row['valid_force_mae']:.0f} meV/Å"
