"""The data set `svhn_full_numbers` of tensorflow-datasets."""

from stn_jax.experiments.street_numbers.svhn.svhn_full_numbers import (
    svhn_full_numbers_dataset_builder,
)

Builder = svhn_full_numbers_dataset_builder.Builder

__all__ = ["Builder"]
