import math

import pytest
import torch

from course_utils.data import (
    CircleDataset,
    circle_network,
    circle_points,
    network_from_arrays,
    noisy_digit,
)


def test_noise_of_eight_grey_levels_changes_what_the_network_reads():
    digit = noisy_digit()
    read = digit.net(torch.stack([digit.image, digit.noisy]).reshape(2, 784)).argmax(1).tolist()
    assert read[0] == digit.label
    assert read[1] != digit.label
    assert 0 < (digit.image - digit.noisy).abs().max() * 255 < 8.01


def test_random_noise_of_the_same_size_does_not_fool_the_network():
    """The lab says that testing with random noise would not have found the noise that the attack found."""
    digit = noisy_digit()
    noise = (2 * torch.rand(5000, 784, generator=torch.Generator().manual_seed(1)) - 1) * 8 / 255
    read = digit.net((digit.image.reshape(1, 784) + noise).clamp(0, 1)).argmax(1)
    assert (read == digit.label).all()


def test_shipped_points_carry_the_label_of_their_side_of_the_circle():
    points, labels = circle_points()
    assert points.shape == (2000, 2) and labels.shape == (2000, 1)
    for point, label in zip(points.tolist(), labels.reshape(-1).tolist(), strict=True):
        assert label == (math.dist(point, (0.5, 0.5)) <= 0.5)


def test_shipped_network_takes_points_and_is_mostly_right():
    points, labels = circle_points()
    outputs = circle_network()(points)
    assert outputs.shape == (2000, 1)
    assert ((outputs >= 0.5) == (labels == 1)).float().mean() > 0.97


def test_network_from_arrays_computes_what_the_arrays_say():
    """2 relu(3 x + 1) + 5 at x = 1 and at x = -1: 13 and 5."""
    pairs = {"0_weight": [[3.0]], "0_bias": [1.0], "2_weight": [[2.0]], "2_bias": [5.0]}
    net = network_from_arrays({name: torch.tensor(value).numpy() for name, value in pairs.items()})
    assert net(torch.tensor([[1.0], [-1.0]])).reshape(-1).tolist() == [13.0, 5.0]


def test_circle_dataset_gives_float_points_with_labels_of_one_column():
    dataset = CircleDataset([[0.5, 0.5], [1.0, 1.2]], [1, 0])
    point, label = dataset[1]
    assert len(dataset) == 2
    assert point.tolist() == pytest.approx([1.0, 1.2])
    assert label.tolist() == [0.0] and label.dtype == torch.float32


@pytest.mark.parametrize(
    ("points", "labels", "message"),
    [
        ([[0.1, 0.2, 0.3]], [1], r"points: found shape \(1, 3\), expected \(num, 2\)"),
        ([[0.1, 0.2]], [1, 0], r"labels: found 2 for 1 points"),
    ],
)
def test_circle_dataset_names_what_does_not_fit(points, labels, message):
    with pytest.raises(ValueError, match=message):
        CircleDataset(points, labels)


def test_shipped_network_has_a_fault_that_the_verifier_finds_and_replays():
    from verifier import Verdict, verify

    cases = []
    result = verify(circle_network(), [[0.7, 0.85], [0.7, 0.85]], [[0.5, None]], counterexamples=cases)
    assert result.verdict is Verdict.FALSIFIED
    assert all(circle_network()(case.reshape(1, 2)).item() < 0.5 for case in cases)
    assert all(0.7 - 1e-6 <= value <= 0.85 + 1e-6 for case in cases for value in case.reshape(-1).tolist())
