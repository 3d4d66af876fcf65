"""Random `--config` flags: any setting of any shipped config, with values that users never mean."""

import random

from stn_jax.experiments.config_check import SHARED_FIELDS
from stn_jax.experiments.config_fields import Choice, Integer, Real, Widths
from stn_jax.experiments.shipped_configs import config_names
from stn_jax.experiments.tasks import TASKS

ABSURD = (
    *("", " ", "0", "-1", "1", "1.5", "1e12", "1000000000000", "-1e30", "1e30", "1e-320", "nan"),
    *("inf", "-inf", "True", "no", "None", "abc", "é\u202e漢", "\x1b[31mred", "a\nb", "a\tb"),
    *(
        "()",
        "(1,)",
        "(0, 0)",
        "(8, 8)",
        "[8, 8, 8, 8]",
        "(8, 'a')",
        "((8,), 8)",
        "{'a': 1}",
        "(" * 99,
    ),
    *("9" * 5000, "a" * 300, "../../x", "~/x", "/", "0x10", "1_0", "\udcff"),
)


def random_flags(draw: random.Random) -> list[str]:
    """Returns `--config` and one to three changes of its settings."""
    name = draw.choice(config_names())
    tasks = {"svhn": "street_numbers", "gtsrb": "traffic_signs", "image": "own_pictures"}
    fields = SHARED_FIELDS | TASKS[tasks.get(name.split("_")[0], "distorted_mnist")].FIELDS
    flags = [f"--config=configs/{name}.py"]
    for _ in range(draw.randint(1, 3)):
        key = draw.choice(list(fields))
        value = draw.choice((*ABSURD, *_near(fields[key], draw)))
        if draw.random() < 0.1:
            key = draw.choice((key[:-1], f"{key}.x", key.split(".")[0], f"x.{key}", key.upper()))
        flags.append(draw.choice((f"--config.{key}={value}",) * 9 + (f"--noconfig.{key}",)))
    return flags


def _near(field, draw: random.Random) -> list[str]:
    """Returns values within the range of a setting, at its ends and just outside."""
    if isinstance(field, Choice):
        return [*field.choices, field.choices[0].upper(), field.choices[-1][:-1]] * 3
    if isinstance(field, Integer):
        ends = [field.least, field.most]
        return [str(end + step) for end in ends for step in (-1, 0, 1)] + [
            str(draw.randint(1, 70)) for _ in range(20)
        ]
    if isinstance(field, Real):
        return [str(field.least), str(field.most)] + [str(draw.random()) for _ in range(20)]
    if isinstance(field, Widths):
        counts = (1, 2, 4, 8, field.most_layers)
        return [str(tuple(draw.randint(1, 40) for _ in range(draw.choice(counts))))] * 20
    return ["true", "false", "name"] * 5
