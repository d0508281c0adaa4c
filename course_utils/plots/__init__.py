"""The pictures of the labs. One colour has one meaning in the whole course; every axis carries its name and unit."""

from course_utils.plots.curves import (
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
from course_utils.plots.plane import (
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
    STYLE,
    described,
    in_course_style,
    in_words,
)

__all__ = [
    "COLOURS",
    "HATCHES",
    "STYLE",
    "described",
    "draw_accuracy_curves",
    "draw_bounds",
    "draw_bounds_by_size",
    "draw_circle",
    "draw_counterexample_image",
    "draw_counterexamples",
    "draw_data",
    "draw_image_pair",
    "draw_loss",
    "draw_network",
    "draw_output_limits",
    "draw_pixel_map",
    "draw_points",
    "draw_robustness_gaps",
    "draw_search",
    "draw_solved_over_time",
    "draw_spec",
    "draw_x_specs",
    "in_course_style",
    "in_words",
    "planes",
    "plot_mnist",
    "zoom",
]
