"""Trainings that lead nowhere, and how they are told."""

from __future__ import annotations

import math

from scatterml_ase.errors import InputError, explain
from scatterml_ase.training.checkpoint import RunState


def require_finite(loss: float, state: RunState) -> None:
    """Refuse to go on with a loss that is no number.

    Raises
    ------
    InputError
        Naming the step.
    """
    if not math.isfinite(loss):
        raise InputError(
            explain(
                f"The loss is {loss} at step {state.steps} (epoch {state.epoch})",
                "the training diverged",
                "Lower optimizer.learning_rate or optimizer.clip_gradient and start anew "
                "(resume=False, or --fresh)",
            )
        )


def require_best(state: RunState) -> None:
    """Refuse to ship a model if no validation ever told one to be better than nothing.

    Raises
    ------
    InputError
        If no validation had a finite error.
    """
    if state.best_epoch < 0:
        raise InputError(
            explain(
                "No validation error was finite",
                "the training diverged, or a validation structure is beyond what a potential can "
                "describe",
                "Lower optimizer.learning_rate, or look for atoms on top of each other; then start "
                "anew (resume=False, or --fresh)",
            )
        )
