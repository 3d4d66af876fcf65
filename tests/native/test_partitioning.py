from stn_jax.native.partitioning import _factorisations


def test_prime_factors_in_every_order():
    assert list(_factorisations(1)) == [()]
    assert list(_factorisations(12)) == [(2, 2, 3), (2, 3, 2), (3, 2, 2)]
    assert list(_factorisations(2**12)) == [(2,) * 12]
