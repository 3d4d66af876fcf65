import pytest

from configs import gtsrb_cnn, gtsrb_multi, gtsrb_single
from stn_jax.errors import UserError
from stn_jax.experiments.config_check import check_config
from stn_jax.experiments.traffic_signs.config import EPOCHS, make_config

FILES = {"cnn": gtsrb_cnn, "single": gtsrb_single, "multi": gtsrb_multi}


@pytest.mark.parametrize("network", FILES)
def test_every_recipe_is_a_run_of_its_own(network):
    configs = [FILES[network].get_config(recipe) for recipe in EPOCHS]
    for config in configs:
        check_config(config)
    assert {config.name for config in configs} == {f"gtsrb_{network}-{name}" for name in EPOCHS}
    assert FILES[network].get_config().to_dict() == configs[0].to_dict()


def test_networks_differ_in_their_transformers_only():
    configs = [make_config(network, None).to_dict() for network in FILES]
    for config in configs:
        del config["name"], config["model"]["network"]
    assert configs[0] == configs[1] == configs[2]


def test_an_unknown_recipe_is_told():
    with pytest.raises(UserError, match="unknown variant 'quik': did you mean 'quick'"):
        make_config("cnn", "quik")


@pytest.mark.parametrize("pooled", [(2, 1), (1, 1), (0, 1)])
def test_poolings_are_increasing_and_counted_from_1(pooled):
    config = make_config("cnn", None)
    config.model.pooled = pooled
    with pytest.raises(UserError, match=r"model\.pooled must be increasing numbers of layers"):
        check_config(config)
