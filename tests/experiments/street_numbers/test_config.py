import math

import jax
import pytest

from configs import svhn_cnn, svhn_multi, svhn_single
from stn_jax.errors import UserError
from stn_jax.experiments.street_numbers.config import RECIPES, make_config
from stn_jax.experiments.tasks import find_task
from stn_jax.experiments.training.optimizer import make_optimizer
from tests.experiments.tiny_numbers import VARIANTS

FILES = {"cnn": svhn_cnn, "single": svhn_single, "multi": svhn_multi}


@pytest.mark.parametrize("network", FILES)
def test_every_variant_is_a_network_and_a_name_of_its_own(network):
    names = set()
    for variant in VARIANTS:
        config = FILES[network].get_config(variant)
        task = find_task(config)
        images = jax.ShapeDtypeStruct((2, *task.input_shape(config)), "float32")
        variables = jax.eval_shape(task.make_network(config).init, jax.random.key(0), images)
        make_optimizer(config.optimizer, 10).init(variables["params"])
        names.add(config.name)
        assert network in config.name
    assert len(names) == len(VARIANTS) == 2 * (2 * 3 + 2)


def test_the_paper_recipe_is_the_papers():
    config = make_config("multi", "paper")
    steps = config.num_epochs * (33_401 + 202_353 - config.data.held_out) / config.batch_size
    assert math.isclose(steps, 400_000, rel_tol=2e-3)
    assert config.model.dropout == 0.5
    assert config.optimizer.weight_decay == 5e-4
    assert config.optimizer.localisation_multiplier == 0.1
    assert (config.optimizer.learning_rate, config.optimizer.drops) == (0.01, 4)


def test_real_numbers_are_the_default_and_synthetic_ones_are_asked_for():
    assert make_config("cnn", None).data.source == "svhn"
    assert make_config("cnn", "synthetic").data.source == "synthetic"
    assert make_config("cnn", "real_small").data.source == "svhn"


@pytest.mark.parametrize("recipe", RECIPES)
def test_drawn_numbers_change_the_data_and_not_the_number_of_steps(recipe):
    real, both = (
        make_config("multi", f"{data},{recipe}") for data in ("real_small", "real_small,drawn")
    )
    assert real.data.drawn == real.data.composed == 0
    count = 3862
    added = both.data.drawn + both.data.composed
    assert math.isclose(both.num_epochs * (count + added), real.num_epochs * count)
    for config in (real, both):
        config.data.drawn = config.data.composed = config.num_epochs = config.eval_every_epochs = 0
        config.name = ""
    assert real.to_dict() == both.to_dict()


def test_the_order_of_the_words_does_not_matter():
    one, other = (make_config("cnn", v) for v in ("paper,128,synthetic", "synthetic,paper,128"))
    assert one.to_dict() == other.to_dict()


@pytest.mark.parametrize(
    ("variant", "message"),
    [
        ("sinthetic", "did you mean 'synthetic'"),
        ("64,128", "at most one of 64, 128"),
        ("64,real_small", "real_small has a size of its own"),
        ("drawn", "drawn goes with real_small"),
    ],
)
def test_wrong_variants_are_told(variant, message):
    with pytest.raises(UserError, match=message):
        make_config("cnn", variant)
