"""The parts of the demo that need no training and no nbgrader."""

import matplotlib as mpl

from course_utils.data import circle_network
from grading.demo import SPECS, draw, verify_specs


def test_demo_prints_a_verdict_for_each_spec_and_replays_a_counterexample(capsys, tmp_path):
    mpl.use("agg")
    net = circle_network()
    counterexamples = verify_specs(net)
    said = capsys.readouterr().out
    assert sum(said.count(name) for name in ("VERIFIED", "FALSIFIED", "UNKNOWN")) == len(SPECS)
    assert counterexamples and "replayed: x = (" in said
    picture = draw(net, counterexamples, tmp_path / "circle.png")
    assert picture.read_bytes().startswith(b"\x89PNG")
