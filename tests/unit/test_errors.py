"""Messages say what, why and what to do."""

import warnings

import pytest

from scatterml_ase.errors import (
    AccuracyWarning,
    InputError,
    ModelError,
    explain,
    name_species,
    warn,
)


def test_a_message_says_what_why_and_what_to_do():
    message = explain("Fe is not in model 'si'", "it was trained on Si alone.", "Pass calculator=")
    assert message == "Fe is not in model 'si': it was trained on Si alone. Pass calculator=."


def test_species_are_named_once_and_sorted_by_atomic_number():
    assert name_species([14, 8, 14]) == "O, Si"
    assert name_species([]) == ""


def test_user_code_may_catch_our_errors_as_value_errors():
    assert issubclass(ModelError, InputError)
    assert issubclass(InputError, ValueError)


def test_a_warning_points_at_the_caller_of_the_public_function():
    def public_function():
        warn("careful", AccuracyWarning)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        public_function()
    assert caught[0].filename == __file__
    assert caught[0].category is AccuracyWarning
    with pytest.warns(UserWarning, match="plain"):
        warn("plain")
