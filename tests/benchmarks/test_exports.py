"""The tables of exported networks, and a program that gives something else."""

import pytest

from benchmarks import exports, networks
from benchmarks.checks import WrongResult
from benchmarks.settings import Settings
from stn_jax.experiments.trained_networks import Network


def test_times_are_per_image_and_ratios_within_a_format():
    def record(kind, who, milliseconds, ratio):
        about = {"network": "cnn", "batch": 4, "format": kind, "who": who}
        return about | {"seconds": [milliseconds / 1000] * 3, "ratio": [ratio] * 3}

    text = exports.markdown(
        [
            record("jax.export", "ours", 8, 1),
            record("ONNX", "ours", 4, 1),
            record("jax.export", "torch.export", 16, 2),
        ]
    )
    program, onnx = text.split("### ONNX")
    assert "| cnn | 4 | 2 (2..2) | 4 (4..4) | 2.00 (2.00..2.00) |" in program
    assert "| cnn | 4 | 1 (1..1) |\n" in onnx + "\n"


def test_a_program_that_gives_something_else_is_a_wrong_result():
    config = networks.section_4_1("fcn", "paper")
    network = Network(networks.make(config).model, {}, config)
    programs = {
        "ours": lambda pixels: lambda: pixels.mean((1, 2, 3)),
        "torch": lambda pixels: lambda: pixels.max((1, 2, 3)),
    }
    with pytest.raises(WrongResult, match="fcn, ONNX, torch: probabilities differs"):
        list(exports._measure(Settings(short=True), "fcn", network, 2, {"ONNX": programs}))
