"""B-splines and `splat` against torch-interpol, whose results are kept in `interpol_values.npz`."""

import functools

import chex
import jax
import pytest

from stn_jax.sampling import sample, splat, spline_coefficients
from tests import interpol_values
from tests.kept_values import assert_kept, load, name_of


@pytest.mark.parametrize(("sizes", "order", "padding", "align_corners"), interpol_values.CASES)
def test_values_gradients_and_splats(sizes, order, padding, align_corners):
    outside = {"padding": padding, "align_corners": align_corners}
    options = outside | {"method": f"bspline{order}", "coordinates": "pixels"}

    @jax.jit
    def compute(image, points, values):
        pulled, back = jax.vjp(functools.partial(sample, image, **options), points)
        coefficients = spline_coefficients(image, order, **outside)
        return {
            "pull": pulled,
            "by_points": back(values)[0],
            "filtered": sample(coefficients, points, **options),
            "push": splat(values, points, sizes, **options),
        }

    ours = compute(*interpol_values.inputs(sizes))
    if not interpol_values.is_filtered(order, padding):
        del ours["filtered"]
    for kind, result in ours.items():
        name = name_of(kind, *sizes, order, padding, align_corners)
        chex.assert_trees_all_close(result, load(interpol_values.PATH)[name], atol=3e-5, rtol=1e-5)


def test_the_file_holds_what_torch_interpol_computes():
    pytest.importorskip("interpol")
    assert_kept(interpol_values.PATH, interpol_values.compute())
