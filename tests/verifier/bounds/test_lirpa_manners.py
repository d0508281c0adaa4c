"""auto-LiRPA at work changes nothing that another thread, or the caller afterwards, could notice."""

import contextlib
import io
import itertools
import sys
import threading
import warnings

import numpy as np
import pytest
import torch

from verifier import Affine, Bounds, Network
from verifier.bounds.lirpa import CROWN, CROWN_OPTIMIZED, IBP, lirpa_bounds
from verifier.bounds.lirpa_manners import alone


def question(seed=0, sizes=(3, 12, 12, 2)):
    rng = np.random.default_rng(seed)
    layers = [Affine(rng.normal(size=(b, a)), rng.normal(size=b)) for a, b in itertools.pairwise(sizes)]
    box = np.full((1, sizes[0]), 0.3)
    return Network(tuple(layers)), Bounds(-box, box)


@pytest.mark.parametrize("method", [IBP, CROWN, CROWN_OPTIMIZED])
def test_bounds_are_the_same_bits_as_where_all_of_torch_computes_in_float64(method):
    network, box = question()
    found = lirpa_bounds(network, box, np.eye(2), method=method).rows
    torch.set_default_dtype(torch.float64)
    try:
        expected = lirpa_bounds(network, box, np.eye(2), method=method).rows
    finally:
        torch.set_default_dtype(torch.float32)
    assert np.array_equal(found.lower, expected.lower)
    assert np.array_equal(found.upper, expected.upper)


def test_another_thread_sees_torch_and_standard_output_as_they_are():
    network, box = question()
    lirpa_bounds(network, box, np.eye(2))  # imported before anybody looks
    stream, seen, ended = sys.stdout, set(), threading.Event()

    def look():
        while not ended.is_set():
            seen.add((torch.zeros(1).dtype, torch.get_default_dtype(), sys.stdout is stream))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        for _ in range(5):
            lirpa_bounds(network, box, np.eye(2), method=CROWN_OPTIMIZED)
    finally:
        ended.set()
        thread.join()
    assert seen == {(torch.float32, torch.float32, True)}


def test_no_random_number_of_the_caller_is_drawn():
    network, box = question()
    torch.manual_seed(5)
    before = torch.get_rng_state().clone()
    lirpa_bounds(network, box, np.eye(2))
    assert torch.equal(before, torch.get_rng_state())


def test_its_own_modules_print_for_others_and_not_for_us():
    network, box = question()
    lirpa_bounds(network, box, np.eye(2))
    printing = vars(sys.modules["auto_LiRPA.bound_general"])["print"]
    for quiet, expected in ((True, ""), (False, "heard\n")):
        with contextlib.redirect_stdout(io.StringIO()) as heard, alone() if quiet else contextlib.nullcontext():
            printing("heard")
        assert heard.getvalue() == expected


def test_warning_filters_are_as_they_were():
    network, box = question()
    before = list(warnings.filters)
    lirpa_bounds(network, box, np.eye(2))
    assert list(warnings.filters) == before
