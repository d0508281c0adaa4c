"""Fill at set-up the caches that a student's first cell would otherwise wait for."""

import compileall
import contextlib
import importlib
import importlib.util
import os.path
import sys
import threading
import time
from collections.abc import Callable, Iterator

from tqdm import tqdm

# Installed by pip, which compiles them; imported once here so that what they cache on first use is there.
IMPORTED_FIRST_BY_A_LAB = ("torch", "torchvision", "z3", "matplotlib.pyplot", "ipywidgets")
OURS = ("verifier", "course_utils")


def import_libraries() -> str:
    """Import the large libraries once; the operating system then holds their files too."""
    done = [name for name in IMPORTED_FIRST_BY_A_LAB if _importable(name)]
    for name in done:
        importlib.import_module(name)
    return f"imported {', '.join(done)}"


def build_font_cache() -> str:
    """Let matplotlib list the fonts, which takes some seconds the first time a figure is drawn."""
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib.font_manager import fontManager

    return f"{len(fontManager.ttflist)} fonts listed"


def compile_ours() -> str:
    """Compile the modules of an editable installation, which pip leaves uncompiled."""
    for name in OURS:
        spec = importlib.util.find_spec(name)
        folders = spec.submodule_search_locations or [] if spec else []
        for folder in filter(os.path.isdir, folders):  # an editable installation adds an entry that is no folder
            compileall.compile_dir(folder, quiet=1)
    return f"compiled {' and '.join(OURS)}"


def answer_first_question() -> str:
    """Verify a network of one neuron, so that each engine has been loaded once."""
    import torch

    from verifier import verify

    net = torch.nn.Sequential(torch.nn.Linear(1, 1), torch.nn.ReLU(), torch.nn.Linear(1, 1))
    return f"a first verify() answered {verify(net, [[0, 1]], [[None, None]], progress=False).verdict.name}"


def compile_search() -> str:
    """Compile the search for networks with few inputs, and let Numba keep its machine code."""
    import numpy as np

    from verifier.answer.budget import Budget
    from verifier.answer.verdict import Question
    from verifier.network import Affine, Network
    from verifier.question.spec import Box, less_than
    from verifier.search.compiled.network import flatten
    from verifier.search.compiled.split import CompiledSplit
    from verifier.subject import Subject

    network = Network((Affine(np.ones((2, 1)), np.zeros(2)), Affine(np.ones((1, 2)), np.zeros(1))))
    question = Question.ask(Subject.of_network(network), Box(np.zeros(1), np.ones(1)), less_than(3.0))
    net = flatten(question)
    if net is None:
        return "the compiled search was not needed"
    search = CompiledSplit(question, net)
    search.run(Budget(show=False))
    return f"the compiled search answered {'VERIFIED' if search.verified else 'UNKNOWN'}"


STEPS: tuple[Callable[[], str], ...] = (
    import_libraries,
    build_font_cache,
    compile_ours,
    compile_search,
    answer_first_question,
)


def main() -> None:
    """Run every step; one that cannot run is reported and does not stop set-up, for nothing depends on a warm cache."""
    with tqdm(total=len(STEPS), bar_format="{desc:<24}{bar} {n}/{total}, {elapsed}", leave=False, disable=None) as bar:
        for step in STEPS:
            bar.set_description_str(step.__name__.replace("_", " "))
            start = time.perf_counter()
            try:
                with _ticking(bar):
                    said = step()
            except Exception as error:  # a cold cache costs time, never a result
                said = f"{step.__name__} skipped ({type(error).__name__}: {error}); "
                said += "`python -m course_utils.doctor` says more"
            bar.update()
            bar.write(f"  {time.perf_counter() - start:5.1f} s  {said}")
            sys.stdout.flush()


@contextlib.contextmanager
def _ticking(bar: tqdm) -> Iterator[None]:
    """Let a bar's clock go on while one step takes long; compiling leaves other threads some time."""
    done = threading.Event()

    def tick() -> None:
        while not done.wait(0.5):
            bar.refresh()

    thread = threading.Thread(target=tick, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _importable(name: str) -> bool:
    return importlib.util.find_spec(name.partition(".")[0]) is not None


if __name__ == "__main__":
    main()
