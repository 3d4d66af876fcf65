from urllib.parse import parse_qsl

import pytest

from stn_jax.experiments.demo import links
from stn_jax.experiments.demo.digits import SLIDERS, Pose


def query(link):
    return dict(parse_qsl(link.removeprefix("?")))


@pytest.mark.parametrize(
    "pose", [Pose(), Pose(turn=-45.0, scale=0.65), Pose(1.0, 1.5, -14.0, 0.5, 8.0)]
)
def test_a_link_leads_to_what_it_was_made_of(pose):
    link = query(links.to({"digit": 17, "name": "a & b = c"}, pose))
    assert links.whole(link, "digit", 999) == 17
    assert link["name"] == "a & b = c"
    assert links.sliders(link, Pose(), SLIDERS) == pose


@pytest.mark.parametrize("text", ["", "x", "-1", "1000", "1.5", "nan"])
def test_what_is_no_number_of_a_digit_is_ignored(text):
    assert links.whole({"digit": text}, "digit", 999) is None


@pytest.mark.parametrize(("text", "turn"), [("999", 90), ("-1e300", -90), ("x", 0), ("", 0)])
def test_sliders_keep_to_their_limits(text, turn):
    assert links.sliders({"turn": text}, Pose(), SLIDERS) == Pose(turn=turn)
