"""Calculators by name: the shipped potentials, well-known foreign ones, and anything importable."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator

from scatterml_ase.errors import InputError, explain, name_species

_OTHERS = (
    "Pass another calculator: --calculator chgnet, mace, nequip:MODEL, m3gnet, emt, "
    "model:FOLDER or package.module:factory (in Python any ASE calculator)"
)


@dataclass(frozen=True)
class KnownCalculator:
    """A calculator of another package: how it is made, and how it is installed.

    ``make`` gets what follows the colon in ``name:argument``, or None, and imports its package
    itself, so that nothing foreign is imported before it is asked for.
    """

    make: Callable[[str | None], Any]
    install: str
    argument: str = ""


def make_calculator(
    choice: str | BaseCalculator | None = None, *, atoms: Atoms | None = None
) -> BaseCalculator:
    """Return the ASE calculator that a user chose.

    Parameters
    ----------
    choice
        An ASE calculator; the name of a shipped model or ``model:FOLDER``; one of the names in
        ``KNOWN_CALCULATORS``, some with an argument (``nequip:PATH``); or
        ``package.module:factory``, which is called without arguments. None takes the shipped
        potential that covers ``atoms`` with the fewest species.
    atoms
        The structure, needed where ``choice`` is None.

    Raises
    ------
    InputError
        If the choice is not known, not installed, or makes no calculator.
    """
    if choice is None:
        return _default(atoms)
    if not isinstance(choice, str):
        return _checked(choice, f"{choice!r}")
    name, colon, argument = choice.partition(":")
    if name == "model" and colon:
        return _ours(argument)
    if name in KNOWN_CALCULATORS:
        return _known(name, argument if colon else None)
    if colon:
        return _from_module(name, argument)
    if (Path(choice) / "card.json").is_file() or choice in _shipped():
        return _ours(choice)
    shipped = ", ".join(_shipped()) or "none"
    raise InputError(
        explain(
            f"No calculator {choice!r} is known",
            f"shipped models are {shipped}; known packages {', '.join(KNOWN_CALCULATORS)}",
            _OTHERS,
        )
    )


def require_results(atoms: Atoms) -> float:
    """Return the energy in eV from ``atoms.calc``, explaining why if it cannot be computed.

    Calculators fail in their own ways on what they do not know (a KeyError, an assertion); here
    the user learns which calculator it was and what else there is.
    """
    try:
        energy = float(atoms.get_potential_energy())
        finite = np.isfinite(energy) and np.isfinite(atoms.get_forces()).all()
    except InputError:
        raise
    except Exception as error:  # any calculator, any exception
        reason = " ".join(str(error).split())
        raise InputError(
            explain(
                f"{type(atoms.calc).__name__} cannot compute {atoms.get_chemical_formula()}",
                f"{type(error).__name__}: {reason}",
                _OTHERS,
            )
        ) from error
    if finite:
        return energy
    raise InputError(
        explain(
            f"{type(atoms.calc).__name__} gives NaN or infinity for {atoms.get_chemical_formula()}",
            "nothing follows from such an energy or such forces",
            f"Check the structure and the calculator. {_OTHERS}",
        )
    )


# -- ours -----------------------------------------------------------------------------------------


def _default(atoms: Atoms | None) -> BaseCalculator:
    from scatterml_ase.store import covering_models, list_models

    if atoms is None:
        what = "No calculator was given"
        raise InputError(explain(what, "energies and forces must come from one", _OTHERS))
    if cards := covering_models(atoms.numbers):
        return _ours(cards[0].name)
    known = "; ".join(
        f"{card.name!r} knows {name_species(card.species)}"
        for card in list_models()
        if card.task == "potential"
    )
    raise InputError(
        explain(
            f"No shipped potential covers {name_species(atoms.numbers)}",
            known or "no potential is shipped with this installation",
            _OTHERS,
        )
    )


def _ours(name_or_path: str) -> BaseCalculator:
    from scatterml_ase.potential.calculator import PotentialCalculator

    return PotentialCalculator(name_or_path)


def _shipped() -> list[str]:
    from scatterml_ase.store import list_models

    return [card.name for card in list_models() if card.task == "potential"]


# -- of other packages ----------------------------------------------------------------------------


def _emt(argument: str | None) -> Any:
    from ase.calculators.emt import EMT

    return EMT()


def _chgnet(argument: str | None) -> Any:
    from chgnet.model.dynamics import CHGNetCalculator

    return CHGNetCalculator(use_device="cpu")


def _mace(argument: str | None) -> Any:
    from mace.calculators import mace_mp

    return mace_mp(model=argument or "medium", device="cpu", default_dtype="float64")


def _m3gnet(argument: str | None) -> Any:
    import matgl
    from matgl.ext.ase import PESCalculator

    potential = matgl.load_model(argument or "M3GNet-PES-MatPES-PBE-2025.2")
    # Its own default is GPa, as a 3×3 matrix; ASE's is eV/Å³ in Voigt order.
    return PESCalculator(potential, stress_unit="eV/A3", use_voigt=True)


def _nequip(argument: str | None) -> Any:
    from nequip.integrations.ase import NequIPCalculator

    return NequIPCalculator.from_compiled_model(argument, device="cpu")


KNOWN_CALCULATORS: dict[str, KnownCalculator] = {
    "chgnet": KnownCalculator(_chgnet, "pip install chgnet"),
    "emt": KnownCalculator(_emt, "pip install ase"),
    "m3gnet": KnownCalculator(_m3gnet, "pip install 'matgl>=3'"),
    "mace": KnownCalculator(
        _mace,
        "pip install mace-torch (it pins e3nn 0.4.4, on which the potentials of this package do "
        "not run: best in an environment of its own)",
    ),
    "nequip": KnownCalculator(
        _nequip, "pip install nequip", "the file written by `nequip-compile --target ase`"
    ),
}
"""Calculators of other packages by name: a closed table, each imported on demand."""


def _known(name: str, argument: str | None) -> BaseCalculator:
    known = KNOWN_CALCULATORS[name]
    if known.argument and not argument:
        raise InputError(
            explain(f"Calculator {name!r} needs a model", f"{name} ships none; it takes "
                    f"{known.argument}", f"Pass --calculator {name}:PATH")
        )  # fmt: skip
    try:
        calculator = known.make(argument or None)
    except ImportError as error:
        raise InputError(
            explain(f"Calculator {name!r} cannot be imported", str(error), f"Run: {known.install}")
        ) from error
    except Exception as error:  # loading a model fails in as many ways as there are packages
        reason = " ".join(str(error).split())
        raise InputError(
            explain(
                f"Calculator {name!r} could not be made",
                f"{type(error).__name__}: {reason}",
                "Check its model (name, file, internet access for the first download), or "
                f"update it: {known.install}",
            )
        ) from error
    return _checked(calculator, name)


def _from_module(module: str, attribute: str) -> BaseCalculator:
    text = f"{module}:{attribute}"
    fix = "Give package.module:factory, a callable without arguments that returns a calculator"
    try:
        factory = importlib.import_module(module)
    except ImportError as error:
        why = f"importing {module!r} fails ({error})"
        fix = f"Install the package or run from its folder. {fix}"
        raise InputError(explain(f"No calculator {text!r}", why, fix)) from error
    except (TypeError, ValueError) as error:  # "", "..x"
        raise InputError(explain(f"No calculator {text!r}", str(error), fix)) from error
    for part in attribute.split("."):
        if not hasattr(factory, part):
            why = f"{part!r} is not in {module!r}"
            raise InputError(explain(f"No calculator {text!r}", why, fix))
        factory = getattr(factory, part)
    if isinstance(factory, BaseCalculator):
        return factory
    if not callable(factory):
        why = f"it is a {type(factory).__name__}, which cannot be called"
        raise InputError(explain(f"{text!r} makes no calculator", why, fix))
    try:
        calculator = factory()
    except Exception as error:  # it is the user's code
        why = f"{type(error).__name__}: {error}"
        raise InputError(explain(f"{text!r} failed when called", why, fix)) from error
    return _checked(calculator, text)


def _checked(calculator: Any, name: str) -> BaseCalculator:
    """Return what looks like an ASE calculator, refuse the rest."""
    if callable(getattr(calculator, "get_potential_energy", None)) and not isinstance(
        calculator, Atoms | type
    ):
        return calculator
    raise InputError(
        explain(
            f"{name} is no ASE calculator",
            f"it is {type(calculator).__name__}, without get_potential_energy()",
            "Give an instance of ase.calculators.calculator.Calculator",
        )
    )
