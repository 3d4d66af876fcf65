"""The sampler and the affine grid against torch, whose results are kept in `torch_values.npz`."""

import chex
import jax
import pytest

from stn_jax import affine_grid, sample
from tests import torch_values
from tests.kept_values import assert_kept, load, name_of


@pytest.mark.parametrize(("shape", "method", "padding", "align_corners"), torch_values.CASES)
def test_values_and_gradients_of_the_sampler(shape, method, padding, align_corners):
    image, grid, cotangent = torch_values.sampler_inputs(shape)
    output, pull_back = jax.vjp(
        lambda image, grid: sample(
            image, grid, method=method, padding=padding, align_corners=align_corners
        ),
        image,
        grid,
    )
    by_image, by_grid = pull_back(cotangent)
    results = {"output": output, "by_image": by_image, "by_grid": by_grid}
    for kind, ours in results.items():
        name = name_of(kind, *shape, method, padding, align_corners)
        chex.assert_trees_all_close(ours, load(torch_values.PATH)[name], atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize(("method", "padding", "align_corners"), torch_values.OPTIONS)
def test_values_at_whole_and_half_pixels(method, padding, align_corners):
    image, grid = torch_values.edge_inputs(align_corners)
    ours = sample(image, grid, method=method, padding=padding, align_corners=align_corners)
    theirs = load(torch_values.PATH)[name_of("edges", method, padding, align_corners)]
    chex.assert_trees_all_close(ours, theirs, atol=1e-5)


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("shape", torch_values.GRID_SHAPES)
def test_values_of_the_affine_grid(shape, align_corners):
    ours = affine_grid(torch_values.THETAS[len(shape)], shape, align_corners=align_corners)
    theirs = load(torch_values.PATH)[name_of("affine_grid", *shape, align_corners)]
    chex.assert_trees_all_close(ours, theirs, atol=1e-6)


@pytest.mark.filterwarnings("ignore:Since version 1.3.0")
def test_the_file_holds_what_torch_computes():
    pytest.importorskip("torch")
    assert_kept(torch_values.PATH, torch_values.compute())
