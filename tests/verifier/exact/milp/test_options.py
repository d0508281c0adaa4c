"""MilpOptions refuse what they are not, with the name of the option and what was found."""

import pytest

import verifier
from tests.verifier.networks import random_network
from verifier import MilpOptions, OptionError


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"workers": 0}, "workers: expected a whole number >= 1, found 0"),
        ({"workers": -2}, "found -2"),
        ({"workers": 1.5}, "found 1.5"),
        ({"workers": True}, "found True"),
        ({"search": "gurobi"}, "search: 'gurobi' is not one of lp, highs"),
        ({"bounds": "tight"}, "bounds: 'tight' is not one of ibp, symbolic, crown"),
        ({"formulation": "bigM"}, "formulation: 'bigM' is not one of big-M, balas"),
        ({"formulation": ["big-M"]}, "is not one of"),
        ({"cuts": True}, "cuts: True is not one of none, before, during"),
        ({"search": "highs", "cuts": "during"}, "use 'before'"),
        ({"dependencies": "inter-layer"}, "expected a tuple of 'intra-layer' and 'consecutive'"),
        ({"dependencies": 3}, "found 3"),
        ({"splitting": "yes"}, "splitting: expected True, False or None, found 'yes'"),
        ({"favour": 0}, "favour: expected a number > 0, found 0"),
        ({"favour": float("nan")}, "found nan"),
        ({"workers": 2, "splitting": False}, "needs splitting=True"),
    ],
)
def test_a_wrong_option_is_named(options, words):
    with pytest.raises(OptionError) as error:
        MilpOptions(**options)
    assert words in str(error.value)


def test_kinds_may_come_as_a_name_or_in_any_order():
    assert MilpOptions(dependencies="consecutive").dependencies == ("consecutive",)
    assert MilpOptions(dependencies=["consecutive", "intra-layer"]).dependencies == ("intra-layer", "consecutive")
    assert MilpOptions(dependencies=()).dependencies == ()


def test_options_that_do_not_fit_the_method_are_refused():
    network = random_network(0, 2, 3, 1)
    with pytest.raises(OptionError, match="only method='milp' takes these options"):
        verifier.verify(network, [(-1, 1)] * 2, [(None, 9.0)], method="split", milp=MilpOptions())
    with pytest.raises(OptionError, match="expected a MilpOptions, found dict"):
        verifier.verify(network, [(-1, 1)] * 2, [(None, 9.0)], method="milp", milp={"workers": 2})
