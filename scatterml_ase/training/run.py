"""A run in progress: its steps, validations, checkpoints and end."""

from __future__ import annotations

import dataclasses
import logging
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch_geometric.data import Data
from tqdm import tqdm

from scatterml_ase.card import Card
from scatterml_ase.graph import batch_graphs
from scatterml_ase.training.batches import batch_errors, epoch_order, plan_batches, shares
from scatterml_ase.training.checkpoint import Moving, RunState, save_checkpoint
from scatterml_ase.training.config import TrainingConfig
from scatterml_ase.training.curves import LiveCurves, plot_learning_curves
from scatterml_ase.training.divergence import require_best, require_finite
from scatterml_ase.training.log import (
    add_step,
    epoch_line,
    keep_lines,
    short_line,
    step_sums,
    training_row,
    validation_entries,
    write_rows,
)
from scatterml_ase.training.losses import energy_weight, loss_value
from scatterml_ase.training.machine import Clock, deferred_signals
from scatterml_ase.training.metrics import DatasetMetrics, model_cutoff, summarize
from scatterml_ase.training.optimize import (
    RunningMean,
    copy_weights,
    learning_rate,
    make_optimizer,
    put_weights,
)
from scatterml_ase.training.prepare import Dataset, build_graphs, build_model
from scatterml_ase.training.report import Outcome, finish_run
from scatterml_ase.training.shared import predict_together
from scatterml_ase.training.start import start_card
from scatterml_ase.training.team import Team

CURVES = "learning_curves.png"

_log = logging.getLogger(__name__)


@dataclass
class Run:
    """A run in progress: what stays the same, and what moves."""

    config: TrainingConfig
    dataset: Dataset
    folder: Path
    team: Team
    train_graphs: list[Data]
    validation_graphs: list[Data]
    moving: Moving
    start: Card | None
    start_metrics: DatasetMetrics | None = None

    @classmethod
    def prepare(
        cls, config: TrainingConfig, dataset: Dataset, folder: Path, crew: Team, *, progress: bool
    ) -> Run:
        """Build model, optimiser and graphs."""
        dtype = getattr(torch, config.run.dtype)
        model = build_model(config.model, dataset.train, seed=config.run.seed, dtype=dtype)
        model = model.to(crew.device)
        cutoff, shown = model_cutoff(model), progress and crew.leads
        train_graphs = build_graphs(dataset.train, cutoff, progress=shown)
        validation_graphs = build_graphs(dataset.validation, cutoff, progress=shown)
        moving = Moving(
            model=model,
            optimizer=make_optimizer(model, config.optimizer),
            mean=RunningMean(model, config.optimizer.ema_decay),
            best=copy_weights(model),
            state=RunState(),
        )
        start = start_card(config.model)
        run = cls(config, dataset, folder, crew, train_graphs, validation_graphs, moving, start)
        if start is not None:
            run.start_metrics = run._validate()
            _log.info("%r before fine-tuning, validation\n%s", start.name, run.start_metrics)
        return run

    @property
    def checkpoint(self) -> Path:
        """The file from which the run can go on."""
        return self.folder / "checkpoint.safetensors"

    @property
    def diary(self) -> Path:
        """The log as text."""
        return self.folder / "training.log"

    @property
    def identity(self) -> dict[str, Any]:
        """What a resumed run must share with the run it resumes."""
        config = self.config.to_dict()
        for free in ("epochs", "minutes", "checkpoint_minutes", "patience", "threads", "device"):
            del config["run"][free]
        del config["card"], config["data"]["train"], config["data"]["validation"]
        del config["model"]["start"]
        start = {"start": self.start.sha256} if self.start else {}
        built = dataclasses.asdict(self.moving.model.config)  # type: ignore[call-overload]
        parts = {"train": len(self.dataset.train), "validation": len(self.dataset.validation)}
        data = {"data": self.dataset.hash, "structures": parts}
        return {"config": config, "model": built, **data, **start}

    def fit(self, *, progress: bool) -> None:
        """Run the epochs that are still to be done."""
        state, run = self.moving.state, self.config.run
        clock = Clock(state.seconds)
        saved = state.seconds
        curves = LiveCurves(self.folder / CURVES, title=self.config.name)
        if self.team.leads:
            keep_lines(self.diary, state.epoch)
        with (
            deferred_signals(held=1 if self.team.size == 1 else 100) as stopped,
            tqdm(
                total=run.epochs,
                initial=state.epoch,
                desc="training",
                unit="epoch",
                disable=not progress,
            ) as bar,
        ):
            while not self._finished():
                order = epoch_order(len(self.train_graphs), seed=run.seed, epoch=state.epoch)
                batches = plan_batches(self.train_graphs, order, run)
                while state.batch < len(batches) and not (state.batch and self._out_of_time()):
                    self._step(batches[state.batch], self._progress(len(batches)))
                    state.seconds, stop = self.team.agree(clock.seconds, stop=stopped())
                    if stop or state.seconds - saved >= 60 * run.checkpoint_minutes:
                        self.save()
                        saved = state.seconds
                    if stop:
                        raise KeyboardInterrupt
                self._end_epoch(clock)
                if self.team.leads:
                    curves.update(state.rows, best=state.best_epoch)
                bar.update()
                bar.set_postfix_str(short_line(state.rows))
        self.save()

    def save(self) -> None:
        """Write a checkpoint."""
        if self.team.leads:
            save_checkpoint(self.checkpoint, self.moving, identity=self.identity)
        self.team.wait()

    def finish(self) -> Path:
        """Evaluate the best weights and write model, card and pictures.

        Raises
        ------
        InputError
            If there are none, because no validation had a finite error.
        """
        state, model = self.moving.state, self.moving.model
        require_best(state)
        put_weights(model, self.moving.best)
        machine: dict[str, Any] = {"device": self.team.device.type}
        if self.team.size > 1:
            machine["processes"] = self.team.size
        outcome = Outcome(
            train=predict_together(self.team, model, self.train_graphs),
            validation=predict_together(self.team, model, self.validation_graphs),
            start=self.start,
            start_metrics=self.start_metrics,
            machine=machine,
        )
        if self.team.leads:
            finish_run(self.config, self.dataset, self.moving, outcome, self.folder)
            picture = self.folder / CURVES
            plot_learning_curves(state.rows, picture, title=self.config.name, best=state.best_epoch)
        self.team.wait()
        return self.folder / "model"

    def _step(self, members: list[int], progress: float) -> None:
        """Learn from one batch, of which every process has a share."""
        moving, config = self.moving, self.config
        state, optimizer, graphs = moving.state, moving.optimizer, self.train_graphs
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(
                config.optimizer,
                step=state.steps,
                progress=progress,
                plateau_factor=state.plateau_factor,
            )
        optimizer.zero_grad(set_to_none=True)
        own = self.team.share(members, [int(graphs[i].num_edges) for i in members])
        errors = loss = None
        if own:
            batch = batch_graphs([graphs[index] for index in own]).to(self.team.device)
            errors = batch_errors(moving.model, batch, create_graph=True)
            loss = loss_value(
                errors,
                config.loss,
                energy_weight=energy_weight(config.loss, progress),
                shares=shares(graphs, own, members),
            )
            loss.backward()
        sums = self.team.total(step_sums(errors, loss))
        require_finite(float(sums[-1]), state)
        self.team.add_gradients(moving.model)
        if config.optimizer.clip_gradient is not None:
            torch.nn.utils.clip_grad_norm_(
                moving.model.parameters(), config.optimizer.clip_gradient
            )
        optimizer.step()
        moving.mean.update(moving.model, state.steps)
        add_step(state.sums, sums, learning_rate=optimizer.param_groups[0]["lr"])
        state.steps += 1
        state.batch += 1

    def _end_epoch(self, clock: Clock) -> None:
        """Validate, choose, log. The last epoch is validated whatever its number."""
        state, run = self.moving.state, self.config.run
        row = training_row(state.epoch, state.steps, state.sums)
        state.seconds, _ = self.team.agree(clock.seconds, stop=False)
        last = state.epoch + 1 >= run.epochs or self._out_of_time()
        if last or (state.epoch + 1) % run.validate_every == 0:
            metrics = self._validate()
            row |= validation_entries(metrics)
            self._judge(metrics)
            state.seconds, _ = self.team.agree(clock.seconds, stop=False)
        row["seconds"] = round(state.seconds, 1)
        state.rows.append(row)
        state.epoch, state.batch, state.sums = state.epoch + 1, 0, {}
        if not self.team.leads:
            return
        write_rows(self.folder / "log.csv", state.rows)
        line = epoch_line(row, best=state.best_epoch == row["epoch"])
        _log.info(line)
        with self.diary.open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def _validate(self) -> DatasetMetrics:
        moving = self.moving
        with moving.mean.applied_to(moving.model):
            predictions = predict_together(self.team, moving.model, self.validation_graphs)
        return summarize(self.dataset.validation, predictions)

    def _judge(self, metrics: DatasetMetrics) -> None:
        """Keep the mean weights if they are the best so far; move the plateau schedule."""
        state, optimizer = self.moving.state, self.config.optimizer
        overall = metrics.overall
        score = 1e-3 * (overall.force_mae + self.config.run.select_energy * overall.energy_mae)
        if math.isfinite(score) and (state.best_score is None or score < state.best_score):
            state.best_score, state.best_epoch = score, state.epoch
            state.stale = state.waited = 0
            self.moving.best = {k: v.clone() for k, v in self.moving.mean.weights.items()}
            return
        state.stale += 1
        state.waited += 1
        if state.stale >= optimizer.plateau_patience:
            state.plateau_factor *= optimizer.plateau_factor
            state.stale = 0

    def _progress(self, batches: int) -> float:
        """Return the share of the run that is done, by steps or, if that is more, by time."""
        run, state = self.config.run, self.moving.state
        by_steps = (state.epoch + state.batch / batches) / run.epochs
        by_time = state.seconds / (60 * run.minutes) if run.minutes else 0.0
        return min(max(by_steps, by_time), 1.0)

    def _out_of_time(self) -> bool:
        minutes = self.config.run.minutes
        return minutes is not None and self.moving.state.seconds >= 60 * minutes

    def _finished(self) -> bool:
        run, state = self.config.run, self.moving.state
        if state.epoch == 0:
            return False  # whatever the limits, no untrained model is shipped
        if self._out_of_time():
            return True
        if run.patience is not None and state.waited >= run.patience:
            _log.info("stopped early: no improvement in %d validations", state.waited)
            return True
        return state.epoch >= run.epochs
