"""Plots of error curves have few enough lines to tell them apart."""

from stn_jax.experiments.reproduce.plots import Line, draw_error_curves


def lines(recipes):
    curves = [[(1000, 20.0), (2000, 10.0)], [(1000, 22.0), (2000, 9.0)]]
    return [
        Line(f"network {number} {recipe}", recipe, number, curves)
        for recipe, count in recipes.items()
        for number in range(count)
    ]


def looks(axis):
    return {
        line.get_label(): (line.get_color(), line.get_marker(), line.get_linestyle())
        for line in axis.lines
    }


def test_lines_of_one_plot_all_look_different():
    (axis,) = draw_error_curves("title", lines({"": 5, "modern": 3})).axes
    assert len(set(looks(axis).values())) == 8


def test_many_lines_get_a_plot_for_each_recipe_in_which_networks_look_the_same():
    figure = draw_error_curves("title", lines({"": 8, "modern": 2, "regularised": 7}))
    assert [len(axis.lines) for axis in figure.axes] == [8, 2, 7]
    for axis in figure.axes:
        assert len(set(looks(axis).values())) == len(axis.lines)
    colours = [[line.get_color() for line in axis.lines] for axis in figure.axes]
    assert colours[0][:2] == colours[1] and colours[0][:7] == colours[2]
