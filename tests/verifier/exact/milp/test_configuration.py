"""Partial configurations: what follows from fixed states is true of every point that has them."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.verifier.networks import random_network
from verifier.answer.verdict import Question
from verifier.exact.milp.configuration import Rules, bound_configuration, find_rules, fix_state
from verifier.exact.milp.options import MilpOptions
from verifier.question.spec import AllOf, Box
from verifier.subject import Subject

SIZES = [(2, 5, 1), (2, 4, 4, 1), (3, 4, 4, 3, 1)]


@given(st.integers(0, 10**6), st.sampled_from(SIZES), st.sampled_from(["ibp", "symbolic", "crown"]))
@settings(max_examples=60, deadline=None)
def test_bounds_and_implied_states_hold_at_every_sample_that_has_the_fixed_states(seed, sizes, method):
    rng, network = np.random.default_rng(seed), random_network(seed, *sizes)
    inputs = sizes[0]
    question = Question.ask(Subject.of_network(network), Box([-1.0] * inputs, [1.0] * inputs), AllOf(()))
    x = rng.uniform(-1, 1, (4000, inputs))
    z = network.pre_activations(x)
    active = np.concatenate(z[:-1], axis=1) > 0
    found = bound_configuration(question, None, method)
    fixed, rules = np.zeros(active.shape[1], dtype=np.intp), Rules()
    here = np.ones(len(x), dtype=bool)
    start = np.cumsum([0, *sizes[1:-1]])
    for _ in range(4):
        open_neurons = [
            (k, j) for k, one in enumerate(found.pre) for j in np.flatnonzero((one.lower < 0) & (one.upper > 0))
        ]
        if not open_neurons:
            return
        k, j = open_neurons[rng.integers(len(open_neurons))]
        state = bool(rng.integers(2))
        rules = find_rules(question, found.pre, MilpOptions(), rules)
        fixed[start[k] + j] = 1 if state else -1
        here &= active[:, start[k] + j] == state
        implied = rules.apply(fix_state(found.pre, k, int(j), state), fixed)
        if implied is None:
            assert not here.any()
            return
        pre, fixed = implied
        assert (active[here][:, fixed > 0]).all() and not (active[here][:, fixed < 0]).any()
        found = bound_configuration(question, pre, method)
        if found is None:
            assert not here.any()
            return
        for bounds, values in zip(found.pre, z, strict=False):
            assert (values[here] >= bounds.lower - 1e-9).all() and (values[here] <= bounds.upper + 1e-9).all()
        assert (z[-1][here] >= found.logits.lower - 1e-9).all() and (z[-1][here] <= found.logits.upper + 1e-9).all()
