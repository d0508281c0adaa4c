"""A Keras model is read as what it computes, layer by layer, or refused by the name of its layer."""

import os

os.environ.setdefault("KERAS_BACKEND", "torch")

import numpy as np
import pytest

import verifier
from verifier import NetworkError, UnsupportedLayerError, Verdict
from verifier.frontends.keras.subject import read_keras

keras = pytest.importorskip("keras")
layers = keras.layers


def with_random_weights(model, seed=0):
    """Weights of no special value; variances stay positive."""
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        values = [rng.normal(0, 0.5, weight.shape) for weight in layer.weights]
        layer.set_weights(
            [
                np.abs(value) + 0.5 if "variance" in weight.name else value
                for value, weight in zip(values, layer.weights, strict=True)
            ]
        )
    return model


def outputs(model, x):
    """What the model gives for a batch, as an array."""
    result = model(x.reshape(-1, *model.input_shape[1:]), training=False)
    return result.detach().numpy() if hasattr(result, "detach") else np.asarray(result)


def dense():
    return keras.Sequential([layers.Input((1,)), layers.Dense(20, "relu"), layers.Dense(25, "relu"), layers.Dense(1)])


def residual_images():
    image = keras.Input((6, 5, 2))
    first = layers.Conv2D(3, 3, padding="same", activation="relu")(image)
    down = layers.LeakyReLU(0.1)(layers.BatchNormalization()(layers.Conv2D(3, 2, strides=2, padding="same")(first)))
    mean = layers.AveragePooling2D(2, strides=1, padding="same")(down)
    top = layers.MaxPooling2D(2, strides=2, padding="same")(layers.Subtract()([down, mean]))
    return keras.Model(image, layers.Dense(3, activation="softmax")(layers.Flatten()(top)))


def nested():
    inner = keras.Sequential([layers.Input((4,)), layers.Dense(3, "relu"), layers.Dense(4)])
    x = keras.Input((4,))
    return keras.Model(x, layers.Dense(2)(layers.Add()([inner(x), x])))


MODELS = {
    "dense": dense,
    "residual images": residual_images,
    "nested": nested,
    "sigmoid": lambda: keras.Sequential(
        [
            layers.Input((4,)),
            layers.Rescaling(0.1, 0.3),
            layers.Dense(5),
            layers.BatchNormalization(),
            layers.Activation("relu"),
            layers.Dropout(0.5),
            layers.Dense(1, activation="sigmoid"),
        ]
    ),
    "strides that do not divide": lambda: keras.Sequential(
        [
            layers.Input((7, 5, 1)),
            layers.Conv2D(4, 3, strides=(2, 1), padding="same"),
            layers.ReLU(),
            layers.Dropout(0.1),
            layers.GlobalAveragePooling2D(),
            layers.Dense(2),
        ]
    ),
    "groups, dilation and reshape": lambda: keras.Sequential(
        [
            layers.Input((32,)),
            layers.Reshape((4, -1, 2)),
            layers.Conv2D(4, 2, groups=2, dilation_rate=2, use_bias=False),
            layers.ReLU(negative_slope=0.25),
            layers.Flatten(),
            layers.Dense(2),
            layers.Softmax(),
        ]
    ),
    "double": lambda: keras.Sequential(
        [
            layers.Input((3,), dtype="float64"),
            layers.Dense(4, "relu", dtype="float64"),
            layers.Dense(1, dtype="float64"),
        ]
    ),
}


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_the_network_read_gives_what_the_model_gives(make):
    model = with_random_weights(make())
    subject = read_keras(model)
    x = np.random.default_rng(1).normal(0, 1, (8, subject.network.inputs)).astype(np.float32)
    theirs = outputs(model, x).reshape(8, -1)
    assert np.abs(subject.network(x.astype(np.float64)) - theirs).max() <= 1e-6


def test_a_model_is_verified_and_its_counterexamples_can_be_fed_to_it():
    model = with_random_weights(dense())
    bounds = verifier.output_bounds(model, [[-1, 1]], method="ibp")
    assert verifier.verify(model, [[-1, 1]], [[bounds.lower[0], bounds.upper[0]]]).verdict is Verdict.VERIFIED
    at_zero = float(outputs(model, np.zeros((1, 1), np.float32))[0, 0])
    cases = []
    assert verifier.verify(model, [[-1, 1]], [[None, at_zero - 0.1]], cases).verdict is Verdict.FALSIFIED
    assert cases
    assert all(float(model(x).detach()[0, 0]) > at_zero - 0.1 for x in cases)


def test_dense_weights_stand_transposed_and_are_read_so():
    """2 inputs, 3 neurons: 1 x0 + 4 x1, 2 x0 + 5 x1, 3 x0 + 6 x1."""
    model = keras.Sequential([layers.Input((2,)), layers.Dense(3, use_bias=False)])
    model.layers[0].set_weights([np.array([[1, 2, 3], [4, 5, 6]], np.float32)])
    assert read_keras(model).network(np.array([[1.0, 10.0]])).tolist() == [[41, 52, 63]]


class OwnLayer(layers.Dense):
    def call(self, inputs):
        return 2 * super().call(inputs)


class OwnModel(keras.Model):
    def call(self, inputs):
        return inputs


def replaced_call():
    model = dense()
    model.layers[0].call = lambda inputs: inputs
    return model


def shared_layer():
    x, layer = keras.Input((2,)), layers.Dense(2)
    return keras.Model(x, layer(layer(x)))


def two_inputs():
    x, y = keras.Input((2,)), keras.Input((2,))
    return keras.Model([x, y], layers.Add()([x, y]))


REFUSED = {
    "tanh": (
        lambda: keras.Sequential([layers.Input((3,)), layers.Dense(2, "tanh")]),
        "layer 0 .*'tanh' is not supported",
    ),
    "own activation": (
        lambda: keras.Sequential([layers.Input((3,)), layers.Dense(2, lambda x: x * x)]),
        "an activation of your own",
    ),
    "own layer": (lambda: keras.Sequential([layers.Input((3,)), OwnLayer(2)]), "a layer of your own"),
    "own model": (OwnModel, "with a call of its own"),
    "replaced call": (replaced_call, "was replaced on the object"),
    "lambda": (
        lambda: keras.Sequential([layers.Input((3,)), layers.Lambda(lambda x: 2 * x)]),
        "Lambda is not supported",
    ),
    "not built": (lambda: keras.Sequential([layers.Dense(2)]), "not built yet"),
    "open sizes": (lambda: keras.Sequential([layers.Input((None, None, 1)), layers.Conv2D(2, 3)]), "leaves sizes open"),
    "clipped relu": (lambda: keras.Sequential([layers.Input((3,)), layers.ReLU(max_value=6)]), "max_value"),
    "shared layer": (shared_layer, "used more than once"),
    "two inputs": (two_inputs, "2 inputs and 1 outputs"),
    "half": (
        lambda: keras.Sequential([layers.Input((3,)), layers.Dense(2, dtype="float16")]),
        "float16; use float32",
    ),
}


@pytest.mark.parametrize(("make", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_read_is_refused_by_its_name(make, message):
    with pytest.raises((NetworkError, UnsupportedLayerError), match=message):
        read_keras(make())


def test_open_sizes_are_closed_by_input_shape():
    model = with_random_weights(
        keras.Sequential(
            [
                layers.Input((None, None, 1)),
                layers.Conv2D(2, 3),
                layers.GlobalAveragePooling2D(),
            ]
        )
    )
    assert read_keras(model, (4, 5, 1)).network.inputs == 20
    with pytest.raises(NetworkError, match="does not fit"):
        read_keras(model, (4, 5, 2))
