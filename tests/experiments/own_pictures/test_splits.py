import re

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from stn_jax.errors import UserError
from stn_jax.experiments.own_pictures.config import make_config
from stn_jax.experiments.own_pictures.splits import group_of, listed_names, split_groups

DEFAULT = re.compile(make_config(None).data.group)
PICTURES = st.lists(
    st.tuples(st.integers(0, 9), st.sampled_from("abc")), min_size=2, max_size=60
).filter(lambda all_: len({group for group, _ in all_}) > 5)
SHARES = st.floats(0.01, 0.99)


def split(pictures, share, seed=0):
    groups, classes = zip(*pictures, strict=True)
    return split_groups([str(group) for group in groups], classes, share, seed)


@hypothesis.given(PICTURES, SHARES, SHARES, st.integers(0, 5))
def test_a_group_is_on_one_side_and_both_sides_have_some(pictures, share, larger, seed):
    is_test = split(pictures, share, seed)
    sides = [{g for (g, _), there in zip(pictures, is_test, strict=True) if there == side}
             for side in (False, True)]  # fmt: skip
    assert sides[0] and sides[1] and not sides[0] & sides[1]
    order = np.random.default_rng(seed).permutation(len(pictures))
    np.testing.assert_array_equal(
        split([pictures[place] for place in order], share, seed), is_test[order]
    )
    if larger >= share:
        assert not np.any(is_test & ~split(pictures, larger, seed))


@hypothesis.given(st.integers(2, 40), SHARES, st.integers(0, 5))
def test_of_single_pictures_each_class_gives_its_share_and_keeps_some(count, share, seed):
    pictures = [(f"{name}/{number}", name) for name in "ab" for number in range(count)]
    is_test = split(pictures, share, seed)
    for name in "ab":
        of_class = sum(is_test[[c == name for _, c in pictures]])
        assert 1 <= of_class <= count - 1
        assert abs(of_class - share * count) <= 1


def test_a_picture_that_is_added_changes_the_side_of_one_other_at_most():
    pictures = [(f"a/{number}", "a") for number in range(100)]
    before = split(pictures, 0.2)
    for number in range(100, 130):
        after = split([*pictures, (f"a/{number}", "a")], 0.2)
        assert np.sum(before != after[:100]) <= 1
    assert np.any(before != split(pictures, 0.2, seed=1))


@pytest.mark.parametrize(
    ("name", "group"),
    [
        ("cat/anna_01.png", "anna"), ("cat/anna-01_2.png", "anna"), ("a_b/x.png", "x.png"),
        ("cat/deep/00003_07.png", "00003"), ("cat/_1.png", "1.png"),
    ],
)  # fmt: skip
def test_the_default_group_is_the_name_up_to_its_first_separator(name, group):
    assert group_of(name, DEFAULT) == group


def test_the_pattern_may_have_a_group_or_find_nothing():
    assert group_of("cat/p12/3.png", re.compile(r"p\d+")) == "p12"
    assert group_of("cat/p12/3.png", re.compile(r"/p(\d+)/")) == "12"
    assert group_of("cat/3.png", re.compile(r"p\d+")) == "cat/3.png"
    assert group_of("cat/3.png", re.compile(r"3(x)?")) == "cat/3.png"  # a group that is not there


def test_a_list_may_be_written_in_many_ways(tmp_path):
    names = {"a/1.png", "a/2.png", "b c/ü.png", "d/4.png"}
    text = "\ufeff# to test on\na/1.png\r\n\n  ./b c/ü.png \ntrain/d/4.png\na\\2.png\n"
    (tmp_path / "list.txt").write_bytes(text.encode())
    assert listed_names(tmp_path / "list.txt", names, "train") == names


@pytest.mark.parametrize(
    ("text", "message"),
    [("a/1.png\na/7.png\nz", r"that do not exist \(a/7.png, z\)"), ("# none", "names no pictures")],
)
def test_a_list_with_mistakes_is_refused(tmp_path, text, message):
    (tmp_path / "list.txt").write_text(text)
    with pytest.raises(UserError, match=message):
        listed_names(tmp_path / "list.txt", {"a/1.png"}, "train")
