"""Messages a user can act on: every error and warning says what is wrong, why, and what to do."""

from __future__ import annotations

import warnings
from collections.abc import Iterable

from ase.data import chemical_symbols


class InputError(ValueError):
    """What the user gave cannot be used; the message names the value, the reason and the remedy."""


class ModelError(InputError):
    """A model folder is missing, damaged, foreign, or does not cover the structure."""


class StabilityWarning(UserWarning):
    """The structure or the force constants are not at a stable minimum."""


class AccuracyWarning(UserWarning):
    """The result is less accurate than asked for."""


def explain(what: str, why: str, fix: str) -> str:
    """Join the three parts every message of this package has: ``"what: why. fix."``.

    Parameters
    ----------
    what
        What is wrong, with the values the user gave ("Fe is not in model 'si'").
    why
        Why that is a problem ("it was trained on Si alone").
    fix
        What to do now, as a complete instruction ("Pass calculator=...").
    """
    what, why, fix = (part.strip().rstrip(".") for part in (what, why, fix))
    return f"{what}: {why}. {fix}."


def warn(message: str, category: type[Warning] = UserWarning, *, stacklevel: int = 3) -> None:
    """Warn with an explained message, pointing at the caller of the public function."""
    warnings.warn(message, category, stacklevel=stacklevel)


def name_species(numbers: Iterable[int]) -> str:
    """Name species for a message: ``[14, 8, 14]`` gives ``"O, Si"`` (sorted by atomic number)."""
    return ", ".join(chemical_symbols[z] for z in sorted({int(z) for z in numbers}))
