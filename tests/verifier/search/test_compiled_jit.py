"""Machine code that is kept: who finds it, and who has to compile."""

import os
import subprocess
import sys

import pytest

from course_utils.warm_up import compile_search

ASK = """
import sys
from course_utils.warm_up import compile_search
from verifier.search.compiled_loop import is_compiled, run_slice, use_kept_code
if sys.argv[1] == "brought":
    use_kept_code()
print(is_compiled())
if is_compiled():
    compile_search()
    print(sum(run_slice.stats.cache_hits.values()), sum(run_slice.stats.cache_misses.values()))
"""


@pytest.mark.slow
def test_a_process_with_a_folder_of_its_own_can_bring_what_is_kept_beside_the_sources(tmp_path):
    """As a sandbox does, which may not write beside the sources."""
    compile_search()

    def ask(how):
        environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
        command = [sys.executable, "-c", ASK, how]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.split()

    assert ask("not brought") == ["False"]
    assert ask("brought") == ["True", "1", "0"]
