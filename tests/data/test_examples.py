import numpy as np
import pytest

from stn_jax.data.examples import label_text


@pytest.mark.parametrize(
    ("label", "text"),
    [
        (np.int32(7), "7"),
        ([1, 2, 3, 4, 5], "12345"),
        ([0, 3, 10, 10, 10], "03"),
        ([10, 10, 10, 10, 10], "-"),
        ([1, 10, 2, 10, 10], "1_2"),
        ([10, 1, 10, 10, 10], "_1"),
    ],
)
def test_a_label_is_written_so_that_no_two_look_alike(label, text):
    assert label_text(np.array(label)) == text
