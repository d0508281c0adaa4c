"""Training, in as few lines as it takes, and the loss curve that can be watched meanwhile."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tqdm.auto import tqdm

from verifier.errors import missing

try:
    import matplotlib.pyplot as plt
    import torch
    from torch.utils.data import DataLoader, Dataset
except ImportError as error:
    raise missing("course_utils.training needs torch and matplotlib, and one is not installed", "labs") from error

from course_utils.models import Model
from course_utils.plots import draw_loss

REDRAW_S = 0.5  # a live curve is drawn at most this often: a picture costs as much as several epochs


def train(
    model: Model,
    dataset: Dataset[tuple[torch.Tensor, torch.Tensor]],
    epochs: int = 60,
    *,
    batch_size: int = 64,
    seed: int = 0,
    live: bool = True,
) -> list[float]:
    """Train the model's network in place, with a progress bar and, in a notebook, a loss curve that grows.

    Args:
        model: Network, loss and optimiser; see `course_utils.models`.
        dataset: Gives (input, label) pairs.
        epochs: How often every point is seen.
        batch_size: How many points a step looks at.
        seed: Fixes the order of the points; the network's first weights are fixed where it is built.
        live: False trains without bar and curve.

    Returns:
        The mean loss of each epoch.
    """
    batches = DataLoader(dataset, batch_size, shuffle=True, generator=torch.Generator().manual_seed(seed))
    curve = LossCurve(shown=live)
    model.net.train()
    with few_threads():
        for _ in tqdm(range(epochs), desc="training", unit="epoch", disable=not live):
            total = 0.0
            for points, labels in batches:
                loss = model.loss(model.net(points), labels)
                model.optimizer.zero_grad()
                loss.backward()
                model.optimizer.step()
                total += loss.item()
            curve.add(total / len(batches))
    model.net.eval()
    curve.finish()
    return curve.losses


@contextmanager
def few_threads() -> Iterator[None]:
    """One thread for torch: a network this small trains faster on one, and much faster on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def in_notebook() -> bool:
    """Whether pictures can be shown beside the code: in Jupyter, not in a terminal."""
    try:
        from IPython import get_ipython
    except ImportError:
        return False
    return get_ipython() is not None and get_ipython().__class__.__name__ == "ZMQInteractiveShell"


class LossCurve:
    """The mean loss of each epoch; in a notebook it is drawn while it grows.

    Args:
        shown: False only collects the numbers.
    """

    def __init__(self, shown: bool = True) -> None:
        """Start with no losses."""
        self.losses: list[float] = []
        self._shown = shown and in_notebook()
        self._display: Any = None
        self._drawn_at = 0.0

    def add(self, loss: float) -> None:
        """Add one epoch's loss."""
        self.losses.append(loss)
        if self._shown and time.monotonic() - self._drawn_at > REDRAW_S:
            self._redraw()

    def finish(self) -> None:
        """Draw all that has come since the last time."""
        if self._shown:
            self._redraw()

    def _redraw(self) -> None:
        from IPython.display import display

        figure = draw_loss(self.losses).figure
        if self._display is None:
            self._display = display(figure, display_id=True)
        else:
            self._display.update(figure)
        plt.close(figure)  # else the notebook would show it once more at the end of the cell
        self._drawn_at = time.monotonic()
