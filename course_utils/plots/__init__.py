"""The pictures of the labs. One colour has one meaning in the whole course; every axis carries its name and unit."""

from verifier.errors import installed, missing

if not (installed("torch") and installed("matplotlib")):
    raise missing("course_utils.plots needs torch and matplotlib, and one is not installed", "labs")

from course_utils.plots.curves import (
    SERIES,
    draw_accuracy_curves,
    draw_bounds,
    draw_bounds_by_size,
    draw_loss,
    draw_solved_over_time,
)
from course_utils.plots.images import (
    draw_counterexample_image,
    draw_image_pair,
    draw_output_limits,
    draw_pixel_map,
    draw_robustness_gaps,
    plot_mnist,
)
from course_utils.plots.own_verifier import (
    draw_image_box,
    draw_part_bounds,
    draw_parts,
    draw_race,
    draw_relaxation,
    draw_slope,
    draw_slopes,
    draw_where_time_goes,
    draw_widths,
    slope_slider,
)
from course_utils.plots.plane import (
    INPUT_NAMES,
    draw_circle,
    draw_counterexamples,
    draw_data,
    draw_network,
    draw_points,
    draw_search,
    draw_spec,
    draw_x_specs,
    planes,
    zoom,
)
from course_utils.plots.style import (
    COLOURS,
    HATCHES,
    OUTPUT_NAME,
    STYLE,
    described,
    in_course_style,
    in_words,
)

__all__ = [
    "COLOURS",
    "HATCHES",
    "INPUT_NAMES",
    "OUTPUT_NAME",
    "SERIES",
    "STYLE",
    "described",
    "draw_accuracy_curves",
    "draw_bounds",
    "draw_bounds_by_size",
    "draw_circle",
    "draw_counterexample_image",
    "draw_counterexamples",
    "draw_data",
    "draw_image_box",
    "draw_image_pair",
    "draw_loss",
    "draw_network",
    "draw_output_limits",
    "draw_part_bounds",
    "draw_parts",
    "draw_pixel_map",
    "draw_points",
    "draw_race",
    "draw_relaxation",
    "draw_robustness_gaps",
    "draw_search",
    "draw_slope",
    "draw_slopes",
    "draw_solved_over_time",
    "draw_spec",
    "draw_where_time_goes",
    "draw_widths",
    "draw_x_specs",
    "in_course_style",
    "in_words",
    "planes",
    "plot_mnist",
    "slope_slider",
    "zoom",
]
