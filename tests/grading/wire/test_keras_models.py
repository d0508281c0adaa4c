"""Keras models cross to the judge as torch's own layers, whatever backend they run on."""

import os

os.environ.setdefault("KERAS_BACKEND", "torch")

import json

import numpy as np
import pytest
import torch

from grading.wire.arrays import WireError
from grading.wire.values import decode, encode

keras = pytest.importorskip("keras")
layers = keras.layers


def crossed(model, **options):
    """What the judge has of a model that a student trained."""
    return decode(json.loads(json.dumps(encode(model, **options))))


def outputs(model, x):
    """What the model gives for a batch, as an array."""
    found = model(x, training=False)
    return found.detach().numpy() if hasattr(found, "detach") else np.asarray(found)


def test_a_dense_model_arrives_as_torchs_own_layers_and_computes_the_same():
    keras.utils.set_random_seed(0)
    hidden = [layers.Dense(5, "relu"), layers.Dropout(0.5), layers.Dense(5), layers.ReLU()]
    model = keras.Sequential([keras.Input((3,)), *hidden, layers.Dense(2)])
    arrived = crossed(model)
    assert all(type(part).__module__.startswith("torch.nn.") for part in arrived.modules() if not list(part.children()))
    x = np.random.default_rng(1).normal(size=(20, 3)).astype(np.float32)
    with torch.no_grad():
        found = arrived(torch.tensor(x)).numpy()
    assert np.abs(found - outputs(model, x)).max() < 1e-6


def test_a_convolution_over_images_arrives_too():
    keras.utils.set_random_seed(2)
    model = keras.Sequential(
        [keras.Input((6, 5, 2)), layers.Conv2D(3, 3, activation="relu"), layers.Flatten(), layers.Dense(2)]
    )
    x = np.random.default_rng(3).normal(size=(4, 6, 5, 2)).astype(np.float32)
    with torch.no_grad():
        found = crossed(model)(torch.tensor(x)).numpy()
    assert np.abs(found - outputs(model, x)).max() < 1e-5


def test_a_shape_that_does_not_fit_the_model_is_refused():
    model = keras.Sequential([keras.Input((3,)), layers.Dense(1)])
    with pytest.raises(WireError, match="does not fit"):
        encode(model, input_shape=(4,))


def test_a_model_with_a_call_of_its_own_is_refused():
    class Mine(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(WireError, match="cannot be graded"):
        encode([Mine()])
