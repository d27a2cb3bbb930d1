"""e3nn keeps its tables in the default dtype: compare with it in double precision."""

from collections.abc import Iterator

import pytest
import torch


@pytest.fixture
def e3nn_in_double() -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)
