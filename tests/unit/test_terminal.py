"""What a command shows: every message is a line of its own, beside progress bars too."""

from __future__ import annotations

import logging
import re
import sys
import warnings

import pytest
from tqdm import tqdm

from scatterml_ase.cli.terminal import set_up_messages


@pytest.fixture(autouse=True)
def own_messages():
    """Put back how warnings are shown and what is logged."""
    logger = logging.getLogger("scatterml_ase")
    before = logger.level, list(logger.handlers)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        yield
    logger.level, logger.handlers = before


def test_messages_do_not_run_into_a_progress_bar(capsys):
    set_up_messages(quiet=False)
    with tqdm(total=2, desc="training", file=sys.stderr) as bar:
        logging.getLogger("scatterml_ase.training").info("epoch 0")
        bar.update()
        warnings.warn("too hot", UserWarning, stacklevel=1)
    shown = [line.strip() for line in re.split(r"[\r\n]", capsys.readouterr().err)]
    assert "epoch 0" in shown
    assert "Warning: too hot" in shown


def test_a_warning_is_shown_once(capsys):
    """Options are checked before the work and used in it: both may find the same."""
    set_up_messages(quiet=False)
    for text in ("too hot", "too hot", "too cold"):
        warnings.warn(text, UserWarning, stacklevel=1)
    assert capsys.readouterr().err.split("\n")[:2] == ["Warning: too hot", "Warning: too cold"]


def test_quiet_commands_say_nothing_but_errors(capsys):
    set_up_messages(quiet=True)
    logging.getLogger("scatterml_ase.training").info("epoch 0")
    warnings.warn("too hot", UserWarning, stacklevel=1)
    assert capsys.readouterr().err == ""
