"""Formulas as networks: the output against every assignment, and verify() against trying all assignments."""

import itertools

import numpy as np
import pytest
import torch

from judges.formulas import formula_net, judge_formulas


def drawn(variables, clauses, seed):
    """A random formula with three different variables in each clause."""
    order = np.random.default_rng(seed)
    return [(order.choice(variables, 3, replace=False) + 1) * order.choice([-1, 1], 3) for _ in range(clauses)]


def holds(clauses, x):
    return all(any((literal > 0) == bool(x[abs(literal) - 1]) for literal in clause) for clause in clauses)


def by_trying_all(clauses):
    variables = max(abs(literal) for clause in clauses for literal in clause)
    return any(holds(clauses, x) for x in itertools.product((0, 1), repeat=variables))


@pytest.mark.parametrize("seed", range(4))
def test_the_output_is_zero_exactly_where_the_formula_holds(seed):
    clauses = drawn(5, 14, seed)
    net = formula_net(clauses, 5)
    corners = list(itertools.product((0, 1), repeat=5))
    values = net(torch.tensor(corners, dtype=torch.float32))[:, 0].tolist()
    assert [value == 0 for value in values] == [holds(clauses, x) for x in corners]
    between = net(torch.from_numpy(np.random.default_rng(seed).uniform(0.1, 0.9, (50, 5))).float())
    assert (between > 0).all()


def test_one_clause_by_hand():
    """x1 or not x2 or x3: violated only at (0, 1, 0). At (0.5, 0.5, 0.5) three inputs are 0.5 from 0 and 1."""
    net = formula_net([[1, -2, 3]], 3)
    points = torch.tensor([[0.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.5, 0.5, 0.5]])
    assert net(points)[:, 0].tolist() == [1.0, 0.0, 1.5]


def test_verdicts_agree_with_trying_all_assignments():
    formulas = [drawn(5, 32, seed) for seed in range(8)]
    found = judge_formulas(5, formulas, by_trying_all, timeout_s=60)
    known = sum(map(by_trying_all, formulas))
    assert 0 < known < len(formulas)  # both answers occur
    assert found["agree"] == found["of"] == len(formulas) and found["open"] == 0
    assert found["satisfiable"] == known and (found["variables"], found["clauses"]) == (5, 32)
    assert 0 < found["verify_median"] <= found["verify_slowest"]


@pytest.mark.parametrize("count", [7, 8])
def test_a_wrong_answer_about_a_formula_is_an_error(count):
    """All eight clauses of three variables contradict each other, any seven do not."""
    clauses = [[1 * a, 2 * b, 3 * c] for a, b, c in itertools.product((-1, 1), repeat=3)][:count]
    with pytest.raises(RuntimeError, match="formula 0 of 3 variables: the network is"):
        judge_formulas(3, [clauses], lambda one: not by_trying_all(one))


def test_time_that_runs_out_leaves_a_formula_open():
    found = judge_formulas(5, [drawn(5, 26, 0)], by_trying_all, timeout_s=1e-6)
    assert found["agree"] + found["open"] == 1
