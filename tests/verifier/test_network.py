"""Network and Affine, put together by hand: read as they were meant, or refused by the place that does not fit."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array, csr_matrix

import verifier
from verifier import Affine, Head, Network, NetworkError, Verdict, verify


def one_weight(weight: Any, bias: Any = (0.0,), **options: Any) -> Network:
    return Network((Affine(weight, bias),), **options)


@pytest.mark.parametrize("head", [Head.IDENTITY, "identity"])
def test_head_given_by_its_value_is_that_head(head: Any) -> None:
    """5 x reaches 5 on [0, 1]; taken for a sigmoid, it would stay below 1."""
    result = verify(one_weight([[5.0]], head=head), [[0, 1]], [[None, 1.0]])
    assert result.verdict is Verdict.FALSIFIED


@pytest.mark.parametrize("head", [None, "Softmax", "relu", 1, [], Head])
def test_unknown_heads_are_refused(head: Any) -> None:
    with pytest.raises(NetworkError, match=r"head is .*expected a Head or one of 'identity'") as refused:
        one_weight([[5.0]], head=head)
    assert "\n" not in str(refused.value)


def read_only() -> Any:
    array = np.array([[2.0]])
    array.flags.writeable = False
    return array


@pytest.mark.parametrize(
    "weight",
    [
        [[2]], ((2.0,),), np.array([[2.0]], np.float32), np.array([[2]]), np.array([[2]], np.uint8), read_only(),
        np.array([[2.0]], ">f8"), np.array([[2.0]], np.longdouble), torch.tensor([[2.0]]), csr_matrix([[2]]),
        torch.nn.Parameter(torch.tensor([[2.0]], dtype=torch.bfloat16)), torch.tensor([[2]]),
        csr_array((np.array([1.0, 1.0]), np.array([0, 0]), np.array([0, 2])), shape=(1, 1)),
    ],
)  # fmt: skip
@pytest.mark.parametrize("method", ["auto", "crown", "auto_lirpa", "split", "relu_split", "lp", "milp", "z3"])
def test_weights_of_every_form_are_read_by_every_method(weight: Any, method: str) -> None:
    """relu(2 x) - 1 lies in [-1, 1] on [-1, 1]."""
    network = Network([Affine(weight, [0]), Affine([[1.0]], [-1])])
    assert verify(network, [[-1, 1]], [[-2, 1.5]], method=method, progress=False).verdict is Verdict.VERIFIED


def test_int64_weights_do_not_overflow() -> None:
    layers = (Affine([[1]], [0]), Affine([[2**62], [2**62]], [0, 0]), Affine([[2, 2]], [0]))
    result = verify(Network(layers), [[1, 2]], [[None, 1e18]], progress=False)
    assert result.verdict is Verdict.FALSIFIED
    assert result.counterexample_output is not None and result.counterexample_output[0] > 1e18


@pytest.mark.parametrize(
    ("weight", "words"),
    [
        (None, "Affine weight: expected real numbers"),
        ("a", "Affine weight: expected real numbers"),
        ([[None]], "Affine weight: expected real numbers"),
        ([[1], [1, 2]], "Affine weight: expected an array of numbers"),
        ([[True]], "Affine weight: expected real numbers"),
        ([[1j]], "Affine weight: expected real numbers"),
        ([[0, 2**60 + 1]], r"Affine weight\[0\]\[1\]: float64 cannot hold"),
        ([[np.longdouble(1) / 3]], r"Affine weight\[0\]\[0\]: float64 cannot hold"),
        (np.ma.masked_array([[1.0]], [[True]]), "Affine weight: .*masked"),
        ([[float("nan")]], "layer 0: a weight is NaN or infinite"),
        ([1.0], r"layer 0: weight \(1,\)"),
        (3.0, r"layer 0: weight \(\)"),
        (np.ones((1, 1, 1)), r"layer 0: weight \(1, 1, 1\)"),
        (np.ones((1, 0)), "layer 0: .*at least one input"),
    ],
)
def test_weights_that_are_none_are_refused_by_their_place(weight: Any, words: str) -> None:
    with pytest.raises(NetworkError, match=words) as refused:
        one_weight(weight)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        (None, "layers is NoneType"),
        ((), "no layer"),
        (Affine([[1.0]], [0.0]), "layers is Affine"),
        ([([[1.0]], [0.0])], "layer 0: found tuple, expected Affine"),
        ([torch.nn.Linear(1, 1)], "layer 0: found Linear, expected Affine"),
        (
            [Affine([[1.0]], [0.0]), Affine([[1.0, 2.0]], [0.0])],
            "layer 1: takes 2 values, but the layer before gives 1",
        ),
        ([Affine([[1.0]], [0.0, 1.0])], "layer 0: weight .* do not fit"),
        ([Affine([[1.0]], 3.0)], "layer 0: weight .* do not fit"),
        ([Affine([[1.0]], [0.0], [[-1.0]])], "layer 0: weight_error holds a negative number"),
        ([Affine([[1.0]], [0.0], None, [-1.0])], "layer 0: bias_error holds a negative number"),
        ([Affine([[1.0]], [0.0], [1.0])], "layer 0: weight_error has shape"),
    ],
)
def test_chains_that_do_not_fit_are_refused(layers: Any, words: str) -> None:
    with pytest.raises(NetworkError, match=words):
        Network(layers)


@pytest.mark.parametrize("shape", [(2,), (-1, -1), "a", (1.0,), None])
def test_input_shapes_that_do_not_fit_are_refused(shape: Any) -> None:
    with pytest.raises(NetworkError, match="input_shape"):
        one_weight([[1.0]], input_shape=shape)


def test_counterexamples_of_a_network_are_copies() -> None:
    """Writing into what the caller got does not change what verify() reports."""
    cases: list[Any] = []
    result = verifier.verify(one_weight([[1.0]]), [[1, 2]], [[None, 0.5]], cases, progress=False)
    cases[0][:] = 7.0
    assert 1 <= result.counterexample[0] <= 2


@pytest.mark.parametrize("form", [np.asarray, csr_array])
def test_writing_into_the_arrays_afterwards_leaves_the_network_alone(form: Any) -> None:
    """x <= 2 holds of x on [0, 1]; with the weight 5 that is written later it would not."""
    weight, bias = form(np.array([[1.0]])), np.array([0.0])
    net = one_weight(weight, bias)
    (weight.data if form is csr_array else weight)[...] = 5.0
    bias[...] = 9.0
    assert net(np.array([[1.0]])).tolist() == [[1.0]]
    assert verify(net, [[0, 1]], [[None, 2.0]]).verdict is Verdict.VERIFIED


# --- put together from arrays ---

SWAPPED = ([[[1, 0], [0, 1]], [[0, 1], [1, 0]]], [[1, 1], [2, 2]])


def test_the_worked_example_is_classified_as_by_hand() -> None:
    """At (1, 2): z = (2, 3), and the second layer swaps them and adds 2: (5, 4)."""
    network = Network.from_arrays(*SWAPPED)
    assert network(np.array([[1.0, 2.0]])).tolist() == [[5.0, 4.0]]
    assert network.classify([1, 2]) == 0 and network.classify(torch.tensor([3.0, 2.0])) == 1
    assert network.classify([[1, 2], [3, 2]]).tolist() == [0, 1]


def test_a_tie_is_classified_as_the_lowest_index() -> None:
    network = Network.from_arrays(*SWAPPED)
    assert network(np.array([[1.5, 1.5]])).tolist() == [[4.5, 4.5]]
    assert network.classify([1.5, 1.5]) == 0


def test_classes_are_read_before_a_head_that_saturates() -> None:
    """Both outputs of the sigmoid are 1 in float64."""
    saturated = Network((Affine([[1.0], [2.0]], [40.0, 40.0]),), head="sigmoid")
    assert saturated(np.array([[10.0]])).tolist() == [[1.0, 1.0]] and saturated.classify([10.0]) == 1


def test_inputs_are_classified_in_their_own_shape() -> None:
    network = Network((Affine([[1.0, 0, 0, 0], [0, 0, 0, 1.0]], [0, 0]),), input_shape=(2, 2))
    assert network.classify([[1, 0], [0, 2]]) == 1 and network.classify([1, 0, 0, 0]) == 0
    assert network.classify(np.eye(4).reshape(4, 2, 2)).tolist() == [0, 0, 0, 1]


@pytest.mark.parametrize("seed", range(5))
def test_identity_layers_fold_into_one_whose_radius_holds_the_product(seed: int) -> None:
    """W2 (W1 x + b1) + b2 in rationals lies within what encloses the folded network."""
    rng = np.random.default_rng(seed)
    (w1, w2), (b1, b2) = (rng.normal(size=(4, 3)), rng.normal(size=(2, 4))), (rng.normal(size=4), rng.normal(size=2))
    network = Network.from_arrays([w1, w2], [b1, b2], activation="identity")
    assert len(network.layers) == 1
    x = rng.normal(size=3)
    bounds = network.enclose_logits(x[None])
    first, second = Network((Affine(w1, b1),)), Network((Affine(w2, b2),))
    hidden = first.exact_logits(x)
    true = [
        sum((Fraction(float(w)) * h for w, h in zip(row, hidden, strict=True)), Fraction(float(b)))
        for row, b in zip(second.layers[0].weight, b2, strict=True)
    ]
    for low, value, high in zip(bounds.lower[0], true, bounds.upper[0], strict=True):
        assert Fraction(float(low)) <= value <= Fraction(float(high))


def test_small_whole_numbers_fold_exactly() -> None:
    assert Network.from_arrays(*SWAPPED, activation="identity").exact


def test_a_network_from_arrays_is_taken_wherever_a_module_is() -> None:
    """Every public function that takes a network; class 0 where x2 > x1, for inputs above -1."""
    network, box = Network.from_arrays(*SWAPPED), [(0.9, 1.1), (1.9, 2.1)]
    spec = verifier.argmax_is(0)
    assert verify(network, box, spec) and verifier.verify_robust(network, [1, 2], 0, 0.4)
    assert verifier.output_bounds(network, box).lower[0] == pytest.approx(4.9)
    assert isinstance(verifier.check_counterexample(network, box, spec, [1, 2]), verifier.Rejection)
    assert verifier.split_trace(network, box, spec).result
    assert verifier.pointwise_robustness(network, [1, 2], 1.5).label == 0
    assert verifier.verified_accuracy(network, [[1, 2]], [0], 0.4, progress=False).verified == 1
    assert verifier.layers(network)
    one = Network.from_arrays([[[1.0], [-1.0]], [[1.0, 1.0]]], [[0, 0], [0]])  # |x|
    assert verifier.max_error(one, lambda x: x, [[0, 1]]).proved < 1e-3


W2 = np.ones((2, 3))


@pytest.mark.parametrize(
    ("weights", "biases", "options", "message"),
    [
        ([np.ones((2, 2)), W2], [[0, 0], [0, 0]], {},
         r"weights\[0\] has shape \(2, 2\) and gives 2 values, but weights\[1\] has shape \(2, 3\) and takes 3; "
         "is it transposed"),
        ([np.ones((4, 2)), W2], [[0] * 4, [0, 0]], {}, r"gives 4 values, .* takes 3$"),
        ([W2], [[0, 0, 0]], {}, r"weights\[0\] has shape \(2, 3\) and biases\[0\] \(3,\); expected \(out, in\)"),
        ([W2, W2], [[0, 0]], {}, "found 2 weights and 1 biases; expected one of each per layer"),
        ([], [], {}, "found 0 weights and 0 biases"),
        ([W2], [[0, 0]], {"activation": "tanh"}, "activation: found 'tanh', expected one of 'relu', 'identity'"),
        ([W2], [[0, 0]], {"activation": None}, "activation: found None"),
        ([W2], [[0, 0]], {"labeler": "argmin"}, "labeler: found 'argmin', expected one of 'argmax'"),
        ([[[1.0, np.nan]]], [[0.0]], {}, "layer 0: a weight is NaN or infinite"),
        (3.0, [[0]], {}, "weights: found float, expected a list with one array per layer"),
        ([["a"]], [[0]], {}, r"weights\[0\]: expected real numbers"),
        ([np.zeros((0, 2))], [[]], {}, "layer 0: weight has shape"),
    ],
)  # fmt: skip
def test_arrays_that_are_no_network_are_refused(weights: Any, biases: Any, options: Any, message: str) -> None:
    with pytest.raises(NetworkError, match=message):
        Network.from_arrays(weights, biases, **options)


@pytest.mark.parametrize("x", [[1.0], [[1.0, 2.0, 3.0]], "ab", None, [[1.0], [2.0, 3.0]]])
def test_what_is_no_input_has_no_class(x: Any) -> None:
    with pytest.raises(NetworkError, match="x: "):
        Network.from_arrays(*SWAPPED).classify(x)
