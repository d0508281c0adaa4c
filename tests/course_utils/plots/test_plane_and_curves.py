"""Pictures are drawn on Agg, and what stands in them is read back from the axes."""

from types import SimpleNamespace

import matplotlib as mpl
import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgba
from matplotlib.patches import Circle, Rectangle

mpl.use("Agg")

import matplotlib.pyplot as plt

from course_utils import plots
from course_utils.data import circle_network


@pytest.fixture(autouse=True)
def no_picture_left_over():
    plt.close("all")
    yield
    plt.close("all")


def legend(ax) -> list[str]:
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_draw_circle_draws_the_circle_of_the_lab_on_named_axes():
    ax = plots.draw_circle()
    (circle,) = [patch for patch in ax.patches if isinstance(patch, Circle)]
    assert circle.center == (0.5, 0.5) and circle.radius == 0.5
    assert "x1" in ax.get_xlabel() and "x2" in ax.get_ylabel() and "unit" in ax.get_xlabel()
    assert ax.get_aspect() == 1


def test_drawings_of_one_cell_share_their_axes():
    assert plots.draw_circle() is plots.draw_spec([0.7, 0.85], [0.7, 0.85])


def test_the_plane_is_not_drawn_into_a_picture_of_something_else():
    assert plots.draw_loss([0.5, 0.4]) is not plots.draw_circle()


def test_draw_data_shows_every_point_on_the_side_of_its_label():
    points = torch.tensor([[0.5, 0.5], [1.2, 1.2], [1.3, 0.1]])
    ax = plots.draw_data(points, torch.tensor([[1.0], [0.0], [0.0]]))
    inside, outside = ax.collections
    assert np.allclose(inside.get_offsets(), points[:1])
    assert np.allclose(outside.get_offsets(), points[1:])
    assert legend(ax) == ["label 1 (inside)", "label 0 (outside)"]


def test_draw_spec_draws_the_box_under_its_name():
    ax = plots.draw_spec([0.7, 0.85], [0.6, 0.9], name="property")
    (box,) = [patch for patch in ax.patches if isinstance(patch, Rectangle)]
    assert np.allclose([box.get_x(), box.get_y(), box.get_width(), box.get_height()], [0.7, 0.6, 0.15, 0.3])
    assert legend(ax) == ["property"]


def test_zoom_holds_for_what_is_drawn_afterwards():
    plots.zoom([0.6, 0.9], [0.5, 0.8])
    ax = plots.draw_circle()
    assert ax.get_xlim() == (0.6, 0.9) and ax.get_ylim() == (0.5, 0.8)


def test_planes_stand_side_by_side_with_names_on_their_axes():
    before, after = plots.planes("before", "after")
    assert before.figure is after.figure
    assert [ax.get_title() for ax in (before, after)] == ["before", "after"]
    assert before.get_xlabel() == after.get_xlabel() == "input x1 (no unit)"


@pytest.mark.parametrize("shape", [(2,), (1, 2)])
def test_draw_counterexamples_takes_what_verify_appends(shape):
    cases = [torch.tensor([0.85, 0.85]).reshape(shape), torch.tensor([0.86, 0.86]).reshape(shape)]
    ax = plots.draw_counterexamples(cases)
    (crosses,) = ax.collections
    assert np.allclose(crosses.get_offsets(), [[0.85, 0.85], [0.86, 0.86]])
    assert np.allclose(crosses.get_facecolor()[0], to_rgba(plots.COLOURS["counterexample"]))


def test_draw_counterexamples_takes_an_empty_list():
    assert len(plots.draw_counterexamples([]).collections) == 0


def test_draw_network_draws_the_border_where_the_output_is_one_half():
    """y = x1: the border is the vertical line x1 = 0.5."""
    net = torch.nn.Linear(2, 1, bias=False)
    net.load_state_dict({"weight": torch.tensor([[1.0, 0.0]])})
    ax = plots.draw_network(net)
    border = ax.collections[1].get_paths()[0].vertices
    assert np.allclose(border[:, 0], 0.5, atol=1e-6)


def test_draw_network_shows_the_shipped_network_near_its_circle():
    ax = plots.draw_network(circle_network())
    border = np.concatenate([path.vertices for path in ax.collections[1].get_paths()])
    assert abs(np.linalg.norm(border - 0.5, axis=1) - 0.5).max() < 0.1


def test_draw_network_copes_with_a_network_that_never_says_inside():
    net = torch.nn.Linear(2, 1)
    net.load_state_dict({"weight": torch.zeros(1, 2), "bias": torch.tensor([-1.0])})
    plots.draw_network(net)


def bounds(lower: float, upper: float) -> SimpleNamespace:
    return SimpleNamespace(lower=np.array([lower]), upper=np.array([upper]))


def test_draw_bounds_gives_each_side_its_colour_and_each_method_its_row():
    ax = plots.draw_bounds({"interval": bounds(-4, 8), "CROWN": bounds(0.6, 1.2)}, torch.rand(100, 1), limit=0.5)
    drawn = {tuple(mark.get_offsets()[0]): mark.get_facecolor()[0] for mark in ax.collections[1:]}
    lower, upper = to_rgba(plots.COLOURS["lower bound"]), to_rgba(plots.COLOURS["upper bound"])
    assert {place: tuple(colour) for place, colour in drawn.items()} == {
        (-4, 1): lower, (8, 1): upper, (0.6, 2): lower, (1.2, 2): upper,
    }  # fmt: skip
    assert [label.get_text() for label in ax.get_yticklabels()] == ["samples", "interval", "CROWN"]
    assert "100 samples" in legend(ax)
    assert ax.get_xlabel()


def test_draw_bounds_by_size_draws_both_sides_of_every_method():
    rows = [bounds(0.9, 1.1), bounds(0.5, 1.5)]
    ax = plots.draw_bounds_by_size([0.1, 0.2], {"interval": rows, "CROWN": rows}, limit=0.5)
    assert len(ax.lines) == 5
    assert ax.lines[0].get_color() == plots.COLOURS["lower bound"]
    assert np.allclose(ax.lines[0].get_ydata(), [0.9, 0.5])
    assert "width" in ax.get_xlabel() and "y" in ax.get_ylabel()


def traced(status: str, corner: float) -> SimpleNamespace:
    return SimpleNamespace(lower=np.full(2, corner), upper=np.full(2, corner + 0.1), status=status)


def test_draw_search_colours_leaves_by_verdict_and_leaves_split_boxes_out():
    statuses = ["split", "verified", "verified", "falsified", "open"]
    ax = plots.draw_search([traced(status, 0.1 * i) for i, status in enumerate(statuses)])
    colours = [patch.get_facecolor()[:3] for patch in ax.patches]
    expected = [to_rgba(plots.COLOURS[name])[:3] for name in ["verified", "verified", "falsified", "unknown"]]
    assert colours == expected
    assert legend(ax) == ["verified: 2 boxes", "falsified: 1 box", "unknown: 1 box"]


def test_draw_image_pair_shows_image_noise_and_noisy_image():
    image = torch.zeros(4, 4)
    figure = plots.draw_image_pair(image, image + 0.1, ["a", "b"])
    pictures = [ax for ax in figure.axes if ax.images]
    assert [ax.get_title() for ax in pictures] == ["a", "the noise", "b"]
    assert np.allclose(pictures[1].images[0].get_array(), 0.1)
    assert all("pixels" in ax.get_xlabel() for ax in pictures)


def test_pictures_keep_a_white_ground_and_dark_text_in_a_dark_notebook():
    with plt.style.context("dark_background"):
        ax = plots.draw_circle()
    assert ax.figure.get_facecolor() == to_rgba("white") == ax.get_facecolor()
    assert sum(to_rgba(ax.xaxis.label.get_color())[:3]) < 1


def test_no_two_meanings_share_a_colour():
    assert len(set(plots.COLOURS.values())) == len(plots.COLOURS)


def test_a_verdict_has_one_colour_in_pictures_and_in_printed_results():
    """y = x on [-1, 1]: within [-2, 2], not below 0, and unknown to a method that may only look at the whole box."""
    from verifier import Affine, Network, verify

    identity = Network((Affine(np.eye(1), np.zeros(1)),))
    results = [verify(identity, [[-1, 1]], [[-2, 2]]), verify(identity, [[-1, 1]], [[None, 0]])]
    results.append(verify(identity, [[-1, 1]], [[None, 0]], method="ibp"))
    for result, verdict in zip(results, ["verified", "falsified", "unknown"], strict=True):
        assert result.verdict.value == verdict
        assert plots.COLOURS[verdict] in result._repr_html_()


HEADER = "onnx,vnnlib,verdict,seconds,cpu_seconds,subdomains,stage\n"


def test_draw_solved_over_time_sorts_the_settled_ones_and_names_the_rest(tmp_path):
    ours, theirs = tmp_path / "ours.csv", tmp_path / "theirs.csv"
    ours.write_text(
        HEADER + "a,p,unsat,3,2.5,1,crown\na,q,sat,0.5,0.4,1,attack\nb,p,timeout,9,9,7,\nb,q,unsat,1,1,1,crown\n"
    )
    theirs.write_text("onnx,vnnlib,verdict,seconds\na,p,unsat,5\na,q,unsat,2\n")
    expected = tmp_path / "expected.csv"
    expected.write_text("onnx,vnnlib,verdict\na,p,unsat\na,q,sat\nb,p,unknown\nb,q,unknown\n")
    ax = plots.draw_solved_over_time({"ours": ours, "theirs": theirs}, expected=expected)
    first, second = ax.lines
    assert list(first.get_xdata()) == [1, 2, 3] and list(first.get_ydata()) == [0.5, 1, 3]
    assert list(second.get_ydata()) == [5]
    assert legend(ax) == ["ours: 3 of 4 settled", "theirs: 1 of 2 settled, 1 wrong"]
    assert ax.get_yscale() == "log" and "(s)" in ax.get_ylabel() and "count" in ax.get_xlabel()


def test_draw_solved_over_time_draws_one_file_and_the_time_that_is_asked_for(tmp_path):
    path = tmp_path / "acasxu.csv"
    path.write_text(HEADER + "a,p,unsat,3,2.5,1,crown\n")
    ax = plots.draw_solved_over_time(path, seconds="cpu_seconds")
    assert list(ax.lines[0].get_ydata()) == [2.5] and legend(ax) == ["acasxu: 1 of 1 settled"]
    assert "CPU" in ax.get_ylabel()


@pytest.mark.parametrize(
    ("text", "message"), [("", "no rows"), (HEADER, "no rows"), ("onnx,vnnlib\na,b\n", "no column 'verdict'")]
)
def test_draw_solved_over_time_refuses_what_is_no_results_file(tmp_path, text, message):
    path = tmp_path / "x.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        plots.draw_solved_over_time(path)
