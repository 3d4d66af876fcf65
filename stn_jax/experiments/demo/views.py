"""What the page shows of each network, as HTML."""

from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image

from stn_jax.experiments.demo import digits, links, numbers
from stn_jax.experiments.demo.cards import (
    cards,
    class_chart,
    message,
    network_card,
    number_chart,
    ranking,
)
from stn_jax.experiments.demo.shown_networks import Named, look
from stn_jax.experiments.labels import LabelKind
from stn_jax.experiments.tasks import find_task
from stn_jax.experiments.trained_networks import Network


def digit_view(
    networks: Sequence[Named],
    digit: np.ndarray | None,
    pose: digits.Pose,
    number: int | None = None,
) -> str:
    """Shows what each network makes of a digit in a pose.

    Args:
        networks: the networks.
        digit: [28, 28, 1], or None if there is none.
        pose: how it is shown.
        number: its number for `digits.pick`, or None if it was drawn by hand.
    """
    if digit is None:
        return message(digits.NOTHING_DRAWN)
    # Sliders may return integers, for which JAX would compile the program again.
    pose = digits.Pose(*map(float, pose))
    shown = []
    for name, network in networks:
        image = np.asarray(digits.distort(digit, pose, canvas=network.input_shape[0]))
        shown.append(_card(name, network, image, class_chart))
    if number is None:
        return cards(shown)
    note = f"MNIST's label: {digits.pick(number).label}"
    return cards(shown, note, links.to({"digit": number}, pose))


def number_view(
    networks: Sequence[Named], picture: numbers.NumberPicture, note: str = "", link: str = ""
) -> str:
    """Shows what each network reads in a picture."""
    shown = []
    for name, network in networks:
        image = numbers.network_input(picture, network.config)
        shown.append(_card(name, network, image, number_chart))
    return cards(shown, note, link)


def picture_view(
    networks: Sequence[Named], picture: Image.Image, note: str = "", link: str = ""
) -> str:
    """Shows what each network recognises in a picture of one thing."""
    shown = []
    for name, network in networks:
        image = find_task(network.config).network_input(picture, network.config)
        shown.append(_card(name, network, image, ranking))
    return cards(shown, note, link)


def _card(
    name: str, network: Network, image: np.ndarray, chart: Callable[[np.ndarray, LabelKind], str]
) -> str:
    detail = f"{network.state.num_params:,} parameters"
    return network_card(name, detail, image, look(network, image), network.labels, chart)
