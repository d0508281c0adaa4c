"""Make the networks that lab 4 goes on with where a student skipped an exercise or does not have Keras.

KERAS_BACKEND=torch python -m course_utils.authoring.make_curve_files
"""

from pathlib import Path

import keras
import numpy as np
import torch
from torch.utils.data import TensorDataset

from course_utils.curve import empty_network, fit_in_keras, largest_on_grid
from course_utils.models import regression_model
from course_utils.training import train

TARGET = Path(__file__).parent.parent / "data_files" / "curve.npz"


def main() -> None:
    """Train the network of the lab and its twin in Keras, store both."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    samples = 2 * torch.rand(500, 1) - 1
    values = 8 * samples**4 - 8 * samples**2 + 1
    torch.manual_seed(1)
    net = empty_network(1, 20, 25, 1)
    losses = train(regression_model(net), TensorDataset(samples, values), epochs=100, live=False)
    keras.utils.set_random_seed(0)
    dense = keras.layers.Dense
    model = keras.Sequential([keras.Input((1,)), dense(20, activation="relu"), dense(25, activation="relu"), dense(1)])
    theirs = {f"keras_{place}": array for place, array in enumerate(fit_in_keras(model, samples, values))}
    ours = {name.replace(".", "_"): value.numpy() for name, value in net.state_dict().items()}
    np.savez_compressed(TARGET, **ours, **theirs)
    largest = largest_on_grid(net, lambda x: 8 * x**4 - 8 * x**2 + 1)
    print(f"loss {losses[-1]:.5f}, largest error on a grid {largest:.4f}")


if __name__ == "__main__":
    main()
