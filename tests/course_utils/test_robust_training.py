"""Bounds that training uses, against the verifier's and against samples; the attack that the curves use."""

import numpy as np
import pytest
import torch
from torch import nn

from course_utils.attacks import pgd
from course_utils.data import VALID_RANGE, DigitDataset
from course_utils.models import Normalise, class_accuracy, classification_model, digit_net
from course_utils.robust_training import linear_layers, train_for_proofs, unstable_neurons, worst_margins
from course_utils.training import train
from verifier.bounds.crown import crown_bounds
from verifier.bounds.interval import interval_bounds
from verifier.enclosure import Bounds
from verifier.frontends.read import read_subject


def small_net(inputs: int = 6, classes: int = 4) -> nn.Sequential:
    torch.manual_seed(2)
    return nn.Sequential(nn.Linear(inputs, 10), nn.ReLU(), nn.Linear(10, 8), nn.ReLU(), nn.Linear(8, classes)).double()


def boxes(radius: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    centres = torch.randn(5, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return centres - radius, centres + radius, torch.tensor([0, 1, 2, 3, 1])


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("radius", [0.01, 0.3, 2.0])
def test_no_sampled_margin_is_below_the_worst_one(share, radius):
    net = small_net()
    lower, upper, labels = boxes(radius)
    with torch.no_grad():
        bound = worst_margins(linear_layers(net), labels, lower, upper, crown_share=share)
        for _ in range(200):
            x = lower + (upper - lower) * torch.randint(0, 2, lower.shape) * torch.rand(5, 1)
            y = net(x)
            assert (y.gather(1, labels[:, None]) - y >= bound - 1e-9).all()
    assert torch.allclose(bound[range(5), labels], torch.zeros(5, dtype=torch.float64))


def test_its_interval_bound_is_the_verifiers():
    """Two programs for one formula; the verifier's is wider by its rounding term."""
    net = small_net()
    lower, upper, labels = boxes(0.2)
    with torch.no_grad():
        ours = worst_margins(linear_layers(net), labels, lower, upper).numpy()
    network = read_subject(net, None, 6).network
    for k, label in enumerate(labels.tolist()):
        rows = np.eye(4)[label][None] - np.eye(4)
        found = interval_bounds(network, Bounds(lower[k : k + 1].numpy(), upper[k : k + 1].numpy()), rows)
        assert np.allclose(found.rows.lower[0], ours[k], atol=1e-9)


def test_its_backward_bound_is_no_tighter_than_crown_and_mostly_tighter_than_intervals():
    """CROWN-IBP takes intervals for the hidden layers, where CROWN goes back for those as well."""
    net = small_net()
    lower, upper, labels = boxes(0.2)
    layers = linear_layers(net)
    with torch.no_grad():
        backward = worst_margins(layers, labels, lower, upper, crown_share=1.0).numpy()
        interval = worst_margins(layers, labels, lower, upper).numpy()
    assert (backward > interval).mean() > 0.5
    network = read_subject(net, None, 6).network
    row = np.eye(4)[0][None] - np.eye(4)
    crown = crown_bounds(network, Bounds(lower[:1].numpy(), upper[:1].numpy()), row).rows.lower[0]
    assert (crown >= backward[0] - 1e-9).all()


@pytest.mark.parametrize(
    "net",
    [
        nn.Sequential(nn.Linear(4, 3), nn.Sigmoid(), nn.Linear(3, 2)),
        nn.Sequential(nn.Linear(4, 3), nn.ReLU()),
        nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2), nn.Softmax(dim=1)),
        nn.Linear(4, 3),
    ],
)
def test_other_networks_are_refused_in_words(net):
    with pytest.raises(ValueError, match="Sequential of Linear layers with a ReLU between each two, and no head"):
        linear_layers(net)


def blobs() -> DigitDataset:
    """Two easy classes: bright upper or bright lower half, with noise."""
    generator = torch.Generator().manual_seed(5)
    labels = torch.arange(200) % 2
    images = torch.randn(200, 784, generator=generator) * 0.015 + 0.1
    images[labels == 0, :40] += 0.46
    images[labels == 1, 40:80] += 0.46
    return DigitDataset(images.clamp(*VALID_RANGE), labels)


@pytest.mark.parametrize("crown", [True, False])
def test_training_for_proofs_makes_more_provable_than_ordinary_training(crown):
    data, radius = blobs(), 0.046
    share = {}
    for kind in ("proofs", "usual"):
        net = digit_net(16, seed=1)
        options = {"epochs": 20, "batch_size": 50, "live": False}
        if kind == "usual":
            losses = train(classification_model(net), data, **options)
        else:
            schedule = options | {"warm_up": 1, "ramp": 10, "crown": crown}
            losses = train_for_proofs(classification_model(net), data, radius, clip=VALID_RANGE, **schedule)
        assert len(losses) == 20 and not net.training
        lower, upper = (data.images - radius).clamp(*VALID_RANGE), (data.images + radius).clamp(*VALID_RANGE)
        with torch.no_grad():
            margins = worst_margins(linear_layers(net), data.labels, net[0](lower), net[0](upper))  # normalised
        margins[range(200), data.labels] = torch.inf
        share[kind] = (margins > 0).all(dim=1).float().mean().item()
        assert class_accuracy(net, data.images, data.labels) > 0.95
    assert share["proofs"] > share["usual"] + 0.2


def test_attack_stays_in_the_box_and_finds_what_is_there_to_find():
    """Class 1 wins where pixel 0 passes 0.5: an image at 0.4 can be moved across by 0.2 and not by 0.05."""
    net = nn.Linear(784, 2)
    weight = torch.zeros(2, 784)
    weight[1, 0] = 1.0
    net.load_state_dict({"weight": weight, "bias": torch.tensor([0.5, 0.0])})
    images, labels = torch.zeros(3, 784), torch.tensor([0, 0, 1])
    images[:, 0] = torch.tensor([0.4, 0.0, 0.4])
    for radius, changed in [(0.05, [False, False, True]), (0.2, [True, False, True])]:
        found = pgd(net, images, labels, radius, clip=VALID_RANGE)
        assert (found - images).abs().max() <= radius + 1e-6
        assert found.min() >= VALID_RANGE[0] - 1e-6 and found.max() <= VALID_RANGE[1] + 1e-6
        assert (net(found).argmax(dim=1) != labels).tolist() == changed


def test_attack_repeats_with_its_seed():
    data, net = blobs(), digit_net(8, seed=3)
    first, second = (pgd(net, data.images[:20], data.labels[:20], 0.1, seed=4) for _ in range(2))
    assert torch.equal(first, second)


@pytest.mark.parametrize("radius", [0.0, -0.1, float("nan")])
def test_a_radius_that_is_not_above_0_is_refused(radius):
    data, net = blobs(), digit_net(8, seed=3)
    message = "radius: found .* expected a number > 0"
    with pytest.raises(ValueError, match=message):
        train_for_proofs(classification_model(net), data, radius, epochs=1, live=False)
    with pytest.raises(ValueError, match=message):
        pgd(net, data.images[:2], data.labels[:2], radius)


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (torch.zeros(784), torch.tensor(3), r"found shapes \(784,\) and \(\), .* was one image meant"),
        (torch.zeros(2, 28, 28), torch.tensor([1, 2]), r"found shapes \(2, 28, 28\) and \(2,\)"),
        (torch.zeros(2, 784), torch.tensor([1, 2, 3]), r"found shapes \(2, 784\) and \(3,\)"),
        (torch.zeros(2, 784), torch.tensor([1, 10]), "labels: found 1 to 10, but the network has 10 outputs"),
        (torch.zeros(2, 784), torch.tensor([-1, 3]), "labels: found -1 to 3, but the network has 10 outputs"),
    ],
)
def test_an_attack_on_what_does_not_fit_is_refused_in_words(images, labels, message):
    with pytest.raises(ValueError, match=message):
        pgd(digit_net(8, seed=3), images, labels, 0.1)


def test_unstable_neurons_are_those_whose_bounds_lie_on_both_sides_of_0():
    """Three neurons read pixel 0, from -1, 0.05 and 1 on; within 0.1 of 0 only the second one's sign can change."""
    net = digit_net(3, seed=0)
    with torch.no_grad():
        net[1].weight.zero_()
        net[1].weight[:, 0] = Normalise.DEVIATION  # so that a neuron is the grey value plus a number
        net[1].bias.copy_(torch.tensor([1.0, -0.05, -1.0]) + Normalise.MEAN)
    images = torch.zeros(4, 784)
    assert unstable_neurons(net, images, 0.1) == 1.0
    assert unstable_neurons(net, images, 0.01) == 0.0
    images[0, 0] = 5.0  # here every neuron is active
    assert unstable_neurons(net, images, 0.1) == 0.75
    assert unstable_neurons(net.double(), images, 0.1, clip=(-1.0, 5.0)) == 0.75
