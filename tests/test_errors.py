import pickle

import pytest

from stn_jax.errors import UserError


@pytest.mark.parametrize(
    ("code", "shown"),
    [
        ("\x1b[2J", r"\x1b[2J"),
        ("a\nb\r", r"a\nb\r"),
        ("\udcff", r"\udcff"),
        ("\u202e", r"\u202e"),
        ("café 7 \\ '", "café 7 \\ '"),
    ],
)
def test_a_message_cannot_control_the_terminal(code, shown):
    error = UserError(f"{code} is wrong")
    assert str(error) == f"{shown} is wrong"
    str(error).encode()
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
