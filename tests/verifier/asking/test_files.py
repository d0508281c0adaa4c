"""verify_files(): one answer for all boxes of a property."""

from __future__ import annotations

import time

import numpy as np
import pytest

from tests.shared_data import reference
from tests.verifier import small_files
from tests.verifier.small_files import DECLARED, UNIT_BOX
from verifier import NetworkError, OptionError, SpecError, Verdict, verify_files


def boxes(*parts: str) -> str:
    """A disjunction of boxes [low, high]^2 with an unsafe limit of y_0 each."""
    text = []
    for part in parts:
        low, high, limit = part.split()
        bounds = " ".join(f"(>= X_{i} {low}) (<= X_{i} {high})" for i in range(2))
        text.append(f"(and {bounds} (>= Y_0 {limit}))")
    return f"{DECLARED}(assert (or {' '.join(text)}))"


def test_the_closed_limit_of_an_unsafe_region_belongs_to_it(tmp_path):
    """y_0 reaches exactly 2 in one corner: y_0 >= 2 is met there, y_0 >= 2.001 nowhere."""
    net = small_files.network(tmp_path)
    found = verify_files(net, small_files.above(tmp_path, 2))
    assert found.verdict is Verdict.FALSIFIED and found.counterexample.tolist() == [1, 1]
    assert verify_files(net, small_files.above(tmp_path, 2.001)).verdict is Verdict.VERIFIED


def test_several_rows_must_be_met_together(tmp_path):
    """y_0 = x_0 + x_1 and y_1 = |x_0 - x_1| or 0: y_0 >= 1.5 and y_1 >= 0.4 together reach x = (0.95, 0.55) at most."""
    net = small_files.network(tmp_path)
    for first, second, verdict in ((1.5, 0.4, "FALSIFIED"), (1.5, 0.51, "VERIFIED")):
        text = f"{DECLARED}{UNIT_BOX}(assert (>= Y_0 {first}))(assert (>= Y_1 {second}))"
        assert verify_files(net, small_files.write(tmp_path, "p.vnnlib", text)).verdict is Verdict[verdict]


def test_all_boxes_must_be_verified_and_one_counterexample_settles_it(tmp_path):
    net = small_files.network(tmp_path)
    safe = small_files.write(tmp_path, "safe.vnnlib", boxes("0 1 2.1", "2 3 6.1", "-2 -1 0.1"))
    found = verify_files(net, safe)
    assert found.verdict is Verdict.VERIFIED
    assert found.output_bounds.lower[0] <= 0 and found.output_bounds.upper[0] >= 6
    assert found.margin == pytest.approx(0.1, abs=1e-6) and found.subdomains >= 3
    cases: list = []
    broken = small_files.write(tmp_path, "broken.vnnlib", boxes("0 1 2.1", "2 3 5.9", "-2 -1 0.1"))
    found = verify_files(net, broken, cases)
    assert found.verdict is Verdict.FALSIFIED and np.array_equal(cases[0], found.counterexample)
    assert (cases[0] >= 2).all() and cases[0].sum() >= 5.9


def test_a_property_without_outputs_is_met_by_any_input(tmp_path):
    path = small_files.write(tmp_path, "p.vnnlib", DECLARED + UNIT_BOX)
    assert verify_files(small_files.network(tmp_path), path).verdict is Verdict.FALSIFIED


def test_time_and_subdomains_are_shared_by_the_boxes(tmp_path):
    """IBP cannot settle y_0 >= 2 in a box whose corner meets it; it says so of the first box that stays open."""
    net = small_files.network(tmp_path)
    path = small_files.write(tmp_path, "p.vnnlib", boxes("0 1 2.1", "2 3 5.9"))
    found = verify_files(net, path, method="ibp")
    assert found.verdict is Verdict.UNKNOWN and found.reason.endswith("in box 2 of 2") and not found.timed_out
    found = verify_files(net, path, timeout_s=1e-9)
    assert found.timed_out and found.reason == "time limit of 1e-09 s reached while reading"
    assert verify_files(net, path, max_subdomains=1).verdict is Verdict.UNKNOWN


def test_a_box_that_takes_long_does_not_keep_the_others_waiting(tmp_path, monkeypatch):
    """The first box always runs out of time: the second is asked before the first has had more than a tenth of it."""
    from verifier.asking import files

    shares = []

    def slow(budget, subject, box, *arguments, **options):
        shares.append((float(box.lower[0]), budget.timeout_s))
        if box.lower[0] == 0:
            time.sleep(budget.timeout_s)  # leaves it open
        return verify_within(budget, subject, box, *arguments, **options)

    verify_within = files.verify_within
    monkeypatch.setattr(files, "verify_within", slow)
    net = small_files.network(tmp_path)
    found = verify_files(net, small_files.write(tmp_path, "p.vnnlib", boxes("0 1 1.9", "2 3 6.1")), timeout_s=1.0)
    assert found.timed_out and found.reason == "time limit of 1 s reached in box 1 of 2"
    assert [low for low, _ in shares] == [0, 2, 0, 0]  # the second is settled in the first round and not asked again
    assert shares[0][1] <= 0.05 and shares[2][1] < 0.5 and 0.8 < sum(share for low, share in shares if low == 0) < 1.01


def test_files_that_do_not_belong_together_are_refused(tmp_path):
    net = small_files.network(tmp_path)
    text = "(declare-const X_0 Real)(declare-const Y_0 Real)(assert (and (<= X_0 1) (>= X_0 0)))(assert (<= Y_0 1))"
    with pytest.raises(SpecError, match=r"declares 1 inputs, but pair\.nnet has 2"):
        verify_files(net, small_files.write(tmp_path, "one.vnnlib", text))
    with pytest.raises(NetworkError, match="expected the path of a network file, found int"):
        verify_files(3, net)
    with pytest.raises(OptionError, match="timeout_s"):
        verify_files(net, net, timeout_s=0)
    with pytest.raises(OptionError, match="max_subdomains"):
        verify_files(net, net, max_subdomains=0)


def test_easy_instances_of_acas_xu_have_their_known_verdicts():
    """One of each kind: a single row, rows that must hold together, a disjunction of boxes."""
    pytest.importorskip("onnx")
    folder = reference("vnncomp") / "acasxu"
    for net, number, verdict in (("3_3", 1, "VERIFIED"), ("1_7", 3, "FALSIFIED"), ("1_1", 3, "VERIFIED")):
        started = time.perf_counter()
        found = verify_files(
            folder / f"onnx/ACASXU_run2a_{net}_batch_2000.onnx", folder / f"vnnlib/prop_{number}.vnnlib", timeout_s=60
        )
        assert found.verdict is Verdict[verdict], (net, number, found)
        assert time.perf_counter() - started < 60


@pytest.mark.parametrize("text", ["(assert (>= X_0 2))", "(assert (<= 1 0))", "(assert (or (< Y_0 Y_0) (<= X_1 -1)))"])
def test_a_property_that_no_input_meets_is_verified_by_itself(tmp_path, text):
    path = small_files.write(tmp_path, "p.vnnlib", DECLARED + UNIT_BOX + "(assert (>= Y_0 0))" + text)
    found = verify_files(small_files.network(tmp_path), path)
    assert found.verdict is Verdict.VERIFIED and (found.stage, found.guarantee) == ("property", "exact")


def test_a_network_that_is_not_supported_is_refused_before_the_property_is_read(tmp_path, monkeypatch):
    from verifier.asking import files

    net = small_files.write(tmp_path, "net.nnet", "no network")
    monkeypatch.setattr(files, "problem", None)
    with pytest.raises(NetworkError, match=r"net\.nnet, line 1"):
        verify_files(net, small_files.above(tmp_path, 1))


def test_the_time_limit_holds_while_a_property_is_read_and_between_its_boxes(tmp_path, monkeypatch):
    """A property of 20,000 boxes, each settled at once: reading it or asking about all of them takes seconds."""
    from verifier.asking import files

    net = small_files.network(tmp_path)
    path = small_files.write(tmp_path, "p.vnnlib", boxes(*(f"{i} {i + 1} {3 * i + 3}" for i in range(20_000))))
    found = verify_files(net, path, timeout_s=0.01)
    assert found.timed_out and found.reason == "time limit of 0.01 s reached while reading" and found.subdomains == 0
    started = time.perf_counter()
    asked = []

    def few(budget, *arguments, **options):
        asked.append(budget.timeout_s)
        if len(asked) == 3:
            budget.parent.started -= 7e5  # the call began long ago
        return verify_within(budget, *arguments, **options)

    verify_within = files.verify_within
    monkeypatch.setattr(files, "verify_within", few)
    found = verify_files(net, path, timeout_s=6e5)  # a share that a busy machine keeps, too
    assert found.timed_out and len(asked) == 3 and found.reason == "time limit of 600000 s reached in box 4 of 20000"
    assert found.margin == -np.inf and not np.isfinite(found.output_bounds.upper).any()
    assert time.perf_counter() - started < 120


def test_tens_of_thousands_of_disjuncts_are_answered_in_little_memory(tmp_path):
    """Each limit is a clause: an attack on all of them at once would need gigabytes."""
    rows = " ".join(f"(and (<= Y_0 -{i}.5) (>= Y_1 Y_0))" for i in range(5_000))
    text = f"{DECLARED}{UNIT_BOX}(assert (or {rows}))"
    assert verify_files(small_files.network(tmp_path), small_files.write(tmp_path, "p.vnnlib", text)).verdict is (
        Verdict.VERIFIED
    )
    text = text.replace("(<= Y_0 -7.5)", "(<= Y_0 1.01) (>= Y_1 0.9)")  # x = (1, 0)
    found = verify_files(small_files.network(tmp_path), small_files.write(tmp_path, "p.vnnlib", text))
    assert found.verdict is Verdict.FALSIFIED
