import numpy as np
import pytest

from stn_jax.errors import UserError
from stn_jax.experiments.demo.digits import Pose, distort
from stn_jax.experiments.demo.shown_networks import SHIPPED, look, shown_networks
from stn_jax.experiments.pretrained import pretrained_names
from stn_jax.experiments.trained_networks import run_network
from tests.experiments.tiny import tiny_config


def test_the_affine_transformer_follows_a_digit_that_is_turned(digit):
    affine = dict(shown_networks("distorted_mnist", []))["ST-CNN affine"]

    def grid_angle(turn, **pose):
        image = np.asarray(distort(digit, Pose(turn=turn, **pose), canvas=42))
        theta = look(affine, image).transformers["transformer"].theta
        return np.degrees(np.arctan2(-theta[1, 0], theta[0, 0]))

    for scale in (0.8, 1.0, 1.2):
        followed = grid_angle(turn=30.0, scale=scale) - grid_angle(turn=-30.0, scale=scale)
        assert 20 < followed < 80


def test_networks_are_shipped_for_the_task_that_they_are_offered_for():
    for task, names in SHIPPED.items():
        networks = shown_networks(task, [])
        shipped = [name for name, pretrained in names.items() if pretrained in pretrained_names()]
        assert [name for name, _ in networks] == shipped
        assert {network.config.task for _, network in networks} <= {task}


def test_a_folder_without_a_checkpoint_gets_one_clear_line(tmp_path):
    with pytest.raises(UserError, match=r"no config\.json"):
        run_network(tmp_path)
    (tmp_path / "config.json").write_text(tiny_config("fcn").to_json())
    with pytest.raises(UserError, match="no checkpoint yet"):
        run_network(tmp_path)
