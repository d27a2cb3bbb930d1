"""The options of a report: the one place that documents them, also for the command line."""

from __future__ import annotations

from dataclasses import dataclass

from scatterml_ase.errors import InputError, explain

# Options that are positive numbers: the largest that makes sense, and an example.
_RANGES = {
    "expansion_time": (1e6, 8),
    "melt_time": (1e6, 4),
    "melting_temperature": (1e5, 1687),
    "minimum_length": (100, 10),
}


@dataclass(frozen=True, kw_only=True)
class ReportOptions:
    """What can be chosen about a report; every default suits an elemental crystal.

    Parameters
    ----------
    quick
        Leave molecular dynamics out: no thermal expansion and no melt.
    expansion_time
        Picoseconds at each of two temperatures for the thermal expansion.
    melt_time
        Picoseconds of the melt that g(r) is averaged over.
    melting_temperature
        In K, for elements that are not in the table of references.
    minimum_length
        Distance in Å between periodic images, of a vacancy and in molecular dynamics.
    seed
        Of everything random.
    """

    quick: bool = False
    expansion_time: float = 8.0
    melt_time: float = 4.0
    melting_temperature: float | None = None
    minimum_length: float = 10.0
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what is no time, temperature, length or seed."""
        for name, (most, example) in _RANGES.items():
            value = getattr(self, name)
            if value is not None and not 0 < value <= most:
                raise InputError(
                    explain(f"{name}={value} cannot be used", f"it is positive, at most {most:g}",
                            f"Give a number such as {example}")
                )  # fmt: skip
        if self.seed < 0:
            why = "seeds of random numbers are 0, 1, 2, …"
            raise InputError(explain(f"seed={self.seed} cannot be used", why, "Give such a number"))
