"""Averages of arrays that come one after the other, with errors, in the memory of a few arrays."""

from __future__ import annotations

import numpy as np

FEWEST_BLOCKS = 8
"""An error is estimated from so many blocks, or more."""


class RunningAverage:
    """The mean of correlated samples and its standard error; samples are not kept.

    Pairs of neighbours are joined to blocks again and again, as in
    :func:`scatterml_ase.physics.averages.block_average`, but while the samples come (H. Flyvbjerg
    and H. G. Petersen, doi:10.1063/1.457480). For each row of the array the length of blocks with
    the largest sum of variances is taken, so that noise of single numbers does not choose it.
    """

    def __init__(self) -> None:
        self._levels: list[_Level] = []

    @property
    def samples(self) -> int:
        """How many came."""
        return self._levels[0].count if self._levels else 0

    @property
    def mean(self) -> np.ndarray:
        """Mean of all samples."""
        return self._levels[0].mean

    def add(self, sample: np.ndarray) -> None:
        """Take one more sample, shape (rows, columns); it is not changed."""
        block: np.ndarray | None = sample
        depth = 0
        while block is not None:
            if depth == len(self._levels):
                self._levels.append(_Level(block))
            block = self._levels[depth].add(block)
            depth += 1

    def error(self) -> np.ndarray | None:
        """Return the standard error of the mean, of the shape of a sample; None of one sample.

        Of fewer than eight samples it is the scatter of what there is, and too small by chance.
        """
        levels = [level for level in self._levels if level.count >= FEWEST_BLOCKS]
        levels = levels or self._levels[:1]
        if self.samples < 2:
            return None
        variances = [level.variance_of_mean() for level in levels]
        largest = np.argmax([variance.sum(axis=-1) for variance in variances], axis=0)
        chosen = np.take_along_axis(np.stack(variances), largest[None, ..., None], axis=0)[0]
        return np.sqrt(chosen)


class _Level:
    """Blocks of one length: their number, mean and squared deviations, and one that waits."""

    def __init__(self, like: np.ndarray) -> None:
        self.count = 0
        self.mean = np.zeros(like.shape)
        self._squares = np.zeros(like.shape)
        self._waiting: np.ndarray | None = None

    def add(self, block: np.ndarray) -> np.ndarray | None:
        """Take a block; return the next longer one if this completes it (Welford's update)."""
        self.count += 1
        deviation = block - self.mean
        self.mean += deviation / self.count
        self._squares += deviation * (block - self.mean)
        if self._waiting is None:
            self._waiting = block
            return None
        joined = (self._waiting + block) / 2
        self._waiting = None
        return joined

    def variance_of_mean(self) -> np.ndarray:
        """Return the variance of the mean, as if blocks were independent."""
        return self._squares / (self.count * (self.count - 1))
