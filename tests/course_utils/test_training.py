import torch
from torch import nn

from course_utils.data import CircleDataset, circle_points
from course_utils.models import accuracy, regression_model
from course_utils.training import LossCurve, train


def small_net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 1))


def test_training_lowers_the_loss_and_raises_the_accuracy():
    points, labels = circle_points()
    net = small_net()
    before = accuracy(net, points, labels)
    losses = train(regression_model(net, 1e-2), CircleDataset(points, labels), epochs=5, live=False)
    assert len(losses) == 5 and losses[-1] < losses[0]
    assert accuracy(net, points, labels) > before


def test_same_seed_trains_the_same_network():
    dataset = CircleDataset(*circle_points())
    nets = [small_net(), small_net()]
    for net in nets:
        train(regression_model(net), dataset, epochs=1, seed=3, live=False)
    assert torch.equal(nets[0][0].weight, nets[1][0].weight)


def test_training_shows_a_bar_and_leaves_the_network_in_eval_mode(capsys):
    net = small_net()
    train(regression_model(net), CircleDataset(*circle_points()), epochs=1)
    assert "training" in capsys.readouterr().err
    assert not net.training


def test_accuracy_counts_points_on_the_right_side_of_one_half():
    """y = x1 against labels 1, 1, 0: right, wrong (0.4 < 0.5), right; 0.5 itself counts as 1."""
    net = nn.Linear(2, 1, bias=False)
    net.load_state_dict({"weight": torch.tensor([[1.0, 0.0]])})
    points = torch.tensor([[0.5, 0.0], [0.4, 0.0], [0.1, 0.0]])
    assert abs(accuracy(net, points, torch.tensor([1.0, 1.0, 0.0])) - 2 / 3) < 1e-6


def test_loss_curve_outside_a_notebook_only_collects_numbers():
    curve = LossCurve()
    curve.add(0.5)
    curve.finish()
    assert curve.losses == [0.5]
