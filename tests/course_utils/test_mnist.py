"""The digits of lab 2: the subset that travels along, the whole set where there is one, and units."""

import gzip
import shutil

import numpy as np
import pytest
import torch

from course_utils.data import (
    MNIST_FOLDER,
    VALID_RANGE,
    DigitDataset,
    load_file,
    mnist,
)
from course_utils.models import Normalise, digit_net
from tests.shared_data import reference


@pytest.mark.parametrize(("part", "each"), [("train", 650), ("test", 100)])
def test_subset_holds_as_many_of_each_digit_and_says_which_it_is(part, each, monkeypatch, capsys):
    monkeypatch.delenv(MNIST_FOLDER, raising=False)
    digits = mnist(part)
    assert torch.bincount(digits.labels).tolist() == [each] * 10
    assert digits.images.shape == (10 * each, 784) and digits.images.dtype == torch.float32
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 1 and "the project's own" in said[0] and f"{10 * each:,}" in said[0]


def test_subset_is_small():
    from importlib.resources import files

    assert (files("course_utils") / "data_files" / "mnist_subset.npz").stat().st_size < 1_500_000


@pytest.mark.parametrize(("part", "name"), [("train", "train"), ("test", "t10k")])
def test_subset_is_made_of_the_digits_of_the_original_set(part, name):
    raw = reference("mnist") / "MNIST" / "raw"
    images = np.frombuffer(gzip.decompress((raw / f"{name}-images-idx3-ubyte.gz").read_bytes()), np.uint8, offset=16)
    labels = np.frombuffer(gzip.decompress((raw / f"{name}-labels-idx1-ubyte.gz").read_bytes()), np.uint8, offset=8)
    kept = load_file("mnist_subset.npz")
    index = kept[f"{part}_index"].astype(int)
    assert len(np.unique(index)) == len(index)
    assert (images.reshape(-1, 28, 28)[index] == kept[f"{part}_images"]).all()
    assert (labels[index] == kept[f"{part}_labels"]).all()


def test_the_whole_set_is_read_from_the_folder_that_the_variable_names(tmp_path, monkeypatch, capsys):
    shutil.copytree(reference("mnist") / "MNIST", tmp_path / "MNIST", copy_function=shutil.copyfile)
    for folder in (tmp_path / "MNIST").rglob(""):  # the reference data may be read-only
        folder.chmod(0o755)
    monkeypatch.setenv(MNIST_FOLDER, str(tmp_path))
    digits = mnist("test")
    assert len(digits) == 10_000 and "all 10,000 test digits" in capsys.readouterr().out
    index = load_file("mnist_subset.npz")["test_index"].astype(int)
    assert torch.allclose(digits.images[index], mnist("test", subset=True).images)


def test_a_folder_that_gives_nothing_falls_back_and_says_why(tmp_path, monkeypatch, capsys):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv(MNIST_FOLDER, str(tmp_path / "file"))
    assert len(mnist("test")) == 1000
    said = capsys.readouterr().out
    assert "the project's own" in said and str(tmp_path / "file") in said
    with pytest.raises(RuntimeError, match="the whole of MNIST is not to be had"):
        mnist("test", subset=False)


def test_an_unknown_part_is_refused():
    with pytest.raises(ValueError, match="expected 'train' or 'test'"):
        mnist("validation")


def test_digits_are_grey_values_and_the_network_normalises_them_itself():
    """Black is (0 - 0.1307) / 0.3081 behind the first layer, white (1 - 0.1307) / 0.3081."""
    images = mnist("test", subset=True).images
    assert float(images.min()) == 0 and float(images.max()) == 1 and VALID_RANGE == (0.0, 1.0)
    assert Normalise()(torch.tensor([0.0, 1.0])).tolist() == pytest.approx([-0.42421, 2.82149], abs=1e-5)
    assert isinstance(digit_net(4)[0], Normalise)


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (torch.zeros(2, 783), [1, 2], r"images: found shape \(2, 783\)"),
        (torch.zeros(784), [1], r"images: found shape \(784,\)"),
        (torch.zeros(2, 784), [1], "labels: found 1 for 2 images"),
        (torch.zeros(2, 784), [1, 10], "labels: found 1 to 10, expected 0 to 9"),
    ],
)
def test_digits_that_do_not_fit_are_refused(images, labels, message):
    with pytest.raises(ValueError, match=message):
        DigitDataset(images, labels)


def test_raw_pixels_are_noticed():
    with pytest.warns(UserWarning, match="look like raw pixels"):
        DigitDataset(torch.full((1, 784), 255.0), [3])


def test_square_images_are_flattened():
    assert DigitDataset(torch.zeros(3, 28, 28), [0, 1, 2]).first(2).images.shape == (2, 784)
