import pytest

from benchmarks import floor, networks


def test_least_work_of_the_sampler():
    # 2 x 3 x 4 points with 5 channels: 120 values, and 48 numbers in the grid.
    assert floor.sampler_work((2, 3, 4, 5), "forward") == (4 * (240 + 48), 7 * 120)
    values_in_and_out = 120 + 120 + 120  # the image, the sampled values and their cotangents
    both = 4 * (values_in_and_out + 48 + 120 + 48)
    assert floor.sampler_work((2, 3, 4, 5), "both") == (both, 4 * 7 * 120)


def test_least_work_of_a_step_counts_every_layer():
    config = networks.section_4_1("cnn", "paper")
    config.model.features = (4, 6)
    num_bytes, operations = floor.step_work(networks.make(config), batch_size=2)
    # 42x42 pixels, convolved 9x9 to 34x34, pooled to 17x17, convolved 7x7 to 11x11, pooled to 6x6.
    forward = 2 * (34 * 34 * 81 * 4 + 11 * 11 * 49 * 4 * 6 + 6 * 6 * 6 * 10)
    assert operations == 3 * 2 * forward
    parameters = 81 * 4 + 4 + 49 * 4 * 6 + 6 + 216 * 10 + 10
    momentum = parameters
    counters = 4  # in the state of the schedule
    images = 2 * 42 * 42
    assert num_bytes == pytest.approx(
        4 * (3 * parameters + 2 * momentum + images), abs=4 * counters
    )
