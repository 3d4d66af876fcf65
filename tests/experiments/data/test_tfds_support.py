"""Tests of what the data sets of tensorflow-datasets share."""

import sys

import pytest

from stn_jax.errors import UserError
from stn_jax.experiments.distorted_mnist import tfds_mnist
from stn_jax.experiments.street_numbers.svhn import prepared


@pytest.mark.parametrize("load", [tfds_mnist.load, prepared.prepare])
def test_without_array_record_a_line_says_so(load, monkeypatch, tmp_path):
    """As on Windows, for which there is no such package."""
    monkeypatch.setitem(sys.modules, "array_record", None)
    with pytest.raises(UserError, match="array-record, which is not installed") as caught:
        load(str(tmp_path), None)
    assert "\n" not in str(caught.value)
