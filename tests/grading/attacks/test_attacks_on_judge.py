# ruff: noqa: E501  the cells of a notebook stand on one line each
"""A notebook that has taken over its process says whatever it likes to the judge: it costs its own points, and the
judge and whoever grades stay up."""

import json
import resource
import time

import pytest

from grading.limits import Limits
from grading.run.one import Status
from tests.grading.attacks.attack_lab import graded, own_lab, points, test_cell
from tests.grading.conftest import needs_sandbox

pytestmark = needs_sandbox
LIMITS = Limits(wall_s=10, cell_s=2, cpu_s=10, memory_mb=512, processes=32, file_mb=8, tmp_mb=16, output_kb=64)

# answers the judge in the place of the worker: RUN to cells, TAKE to the names x and y; pieces of JSON, or any bytes
TAKEN_OVER = """
import os, socket, struct, time
(number,) = [fd for fd in range(3, 64) if os.path.exists(f"/proc/self/fd/{fd}") and "socket" in os.readlink(f"/proc/self/fd/{fd}")]
peer = socket.socket(fileno=number)
def read(size):
    got = b""
    while len(got) < size:
        part = peer.recv(size - len(got))
        if not part: os._exit(0)
        got += part
    return got
def reply(body): peer.sendall(struct.pack(">Q", len(body)) + body)
reply(b'{"answer":[[],null,false]}')
while True:
    request = read(struct.unpack(">Q", read(8))[0])
    if b'"run"' in request:
        reply(RUN)
    else:
        socket.recv_fds(peer, 1, 1)
        reply(b'{"answer":[{"value":' + (TAKE if b'"x"' in request else b"3") + b"}]}")
"""


def said(sandbox, run=b'{"answer":[[],null,false]}', take=b"4", test="assert x == 3", limits=LIMITS):
    """What comes of a notebook whose process says this, with an honest test before and after."""
    take_over = TAKEN_OVER.replace("RUN", repr(run) if isinstance(run, bytes) else run)
    take_over = take_over.replace("TAKE", repr(take) if isinstance(take, bytes) else take)
    lab = own_lab(
        "y = 3", test_cell("before", "y", "assert y == 3"), take_over, test_cell("bad", "x", test), "1",
        test_cell("after", "y", "assert y == 3"), "2",
    )  # fmt: skip
    started = time.monotonic()
    result = graded(sandbox, *lab, limits=limits)
    assert time.monotonic() - started < 3 * limits.wall_s + 60
    return result


VALUES = {
    "a number with a million digits": b"9" * 10**6,
    "a number with four thousand digits": b"9" * 4000,
    "not a number": b"NaN",
    "infinity": b"-Infinity",
    "a name twice": b'3,"value":4',
    "bytes that are no text": b'"\xff\xfe"',
    "half a character": b'"\\ud800"',
    "depth": '(b"[" * 10**6)',
    "depth in our form": '(b\'{"list":[\' * 5000 + b"]}" * 5000)',
    "a negative shape": b'{"array":["<f8",[-1],""]}',
    "a shape beyond all numbers": b'{"array":["<f8",[1099511627775,1099511627775,1099511627775],""]}',
    "a shape of truth values": b'{"array":["<f8",[true],"AAAAAAAA8D8="]}',
    "a long empty array": b'{"array":["<f8",[1099511627775,0],""]}',
    "an array of objects": b'{"array":["|O8",[1],"AAAAAAAAAAA="]}',
    "an array of texts": b'{"array":["<U1000000000",[0],""]}',
    "an array of dates": b'{"array":["<M8[ns]",[1],"AAAAAAAAAAA="]}',
    "an array of records": b'{"array":["f8,f8",[1],"AAAAAAAAAAAAAAAAAAAAAA=="]}',
    "a payload in a NaN": b'{"scalar":["<f8",[],"AQAAAAAA+H8="]}',
    "a number that is an array": b'{"scalar":["<f8",[2],"AAAAAAAACEAAAAAAAAAIQA=="]}',
    "a box upside down": b'{"box":[["<f8",[1],"AAAAAAAA8D8="],["<f8",[1],"AAAAAAAAAAA="]]}',
    "an output spec of a path": b'{"output_spec":{"dict":[["kind","/etc/passwd"]]}}',
    "a function that nobody serves": b'{"function":[0,"x"]}',
    "a function with a negative number": b'{"function":[-1,"__import__"]}',
    "keys that collide": '(b\'{"dict":[\' + b",".join(b"[%d,0]" % (k * (2**61 - 1)) for k in range(1, 60000)) + b"]}")',
    "a message that claims a gigabyte": '(peer.sendall(struct.pack(">Q", 2**30)) or b"3")',
    "an answer before it was asked": '(reply(b\'{"answer":[{"value":3}]}\' * 2) or b"3")',
    "lists without end": '(b\'{"list":[\' + b"[]," * (36 * 2**20) + b"0]}")',
}


@pytest.mark.parametrize("name", VALUES)
def test_a_forged_value_is_not_the_answer(sandbox, name):
    result = said(sandbox, take=VALUES[name])
    assert result.outcomes[0].points == 1 and result.outcomes[1].points == 0, result.outcomes
    assert result.notebook is not None and result.status is not Status.NOT_JUDGED, result.status


# as values of x, against tests that are honest about honest values
DEAR = {
    "a power": (b"%d" % 10**15, "assert x ** x > 0"),
    "a range": (b"%d" % 10**18, "assert sum(range(x)) == 3"),
    "memory": (b"%d" % 10**12, "assert len([0] * x) == 3"),
    "memory in steps": (b"%d" % 10**7, "assert len([[0] * 100 for _ in range(x)]) == 3"),
    "a long empty array": (b'{"array":["<f8",[1099511627775,0],""]}', "assert [row for row in x] == 3"),
    "a padding": ("NET[0]", "from verifier import verify\nassert verify(x, [[0.0, 1.0]], [[0.5, None]], max_subdomains=50, timeout_s=None)"),
    "a wide convolution": ("NET[1]", "from verifier import verify\nassert verify(x, [[0.0, 1.0]] * 4096, [[0.5, None]], max_subdomains=50, timeout_s=None)"),
    "a crash": (b"0", "import ctypes\nassert ctypes.string_at(x)"),
    "an exit": (b"0", "import os\nassert x == 0\nos._exit(0)"),
}  # fmt: skip
NET = """
import base64, json
import numpy as np
def array(*shape):
    return ["<f4", list(shape), base64.b64encode(np.ones(shape, "<f4").tobytes()).decode()]
def layer(kind, shape, arrays=(), **options):
    return {"kind": kind, "where": "x", "arrays": dict(arrays), "options": {"dict": [[k, v] for k, v in options.items()]}, "shape": shape, "sources": []}
def network(shape, *layers): return json.dumps({"network": {"input_shape": shape, "layers": layers}}).encode()
pair = lambda n: {"tuple": [n, n]}
NET = [
    network([1, 1, 1], layer("Conv2d", [1, 1, 2**16, 2**16], {"weight": array(1, 1, 1, 1)}.items(), groups=1, stride=pair(1), padding=pair(2**15), dilation=pair(1)),
            layer("Flatten", [1, 2**32])),
    network([1, 64, 64], layer("Conv2d", [1, 512, 64, 64], {"weight": array(512, 1, 3, 3)}.items(), groups=1, stride=pair(1), padding=pair(1), dilation=pair(1)),
            layer("ReLU", [1, 512, 64, 64]), layer("Flatten", [1, 512 * 64 * 64]), layer("Linear", [1, 1], {"weight": array(1, 512 * 64 * 64)}.items())),
]
"""


@pytest.mark.parametrize("name", DEAR)
def test_a_value_that_makes_a_test_dear_costs_that_test_only(sandbox, name):
    take, test = DEAR[name]
    if isinstance(take, str):
        take = f"(exec({NET!r}, globals()) or {take})"
    result = said(sandbox, take=take, test=test)
    assert [outcome.points for outcome in result.outcomes] == [1, 0, 1], result.outcomes
    assert result.notebook is not None and result.status is not Status.NOT_JUDGED, result.status


def test_what_could_not_be_finished_is_marked_for_the_instructor(sandbox):
    bad = said(sandbox, take=b"%d" % 10**18, test="assert sum(range(x)) == 3").outcomes[1]
    assert bad.out_of_time and "could not be finished" in bad.message and "not enough time" in bad.detail


OUTPUTS = {
    "not a number": b'{"answer":[[{"output_type":"stream","name":"stdout","text":NaN}],null,false]}',
    "depth": '(b\'{"answer":[\' + b"[" * 900 + b"]" * 900 + b",null,false]}")',
    "depth in a text": '(b\'{"answer":[[{"output_type":"error","ename":\' + b"[" * 900 + b"]" * 900 + b"}],null,false]}")',
    "no outputs": b'{"answer":[3,null,false]}',
    "an error instead": b'{"error":[[],3]}',
    "too many": '(b\'{"answer":[[\' + b"[]," * 10**6 + b"0],null,false]}")',
    "a gigabyte in pieces": '(b\'{"answer":[[{"output_type":"stream","name":"stdout","text":"\' + b"x" * 700000 + b\'"}],null,false]}\')',
    "half a character": b'{"answer":[[{"output_type":"stream","name":"stdout","text":"\\ud800"}],null,false]}',
    "imitated points": b'{"answer":[[{"output_type":"execute_result","data":{"text/plain":"1.0"},"metadata":{"grading":{"points":1}}}],null,false]}',
}


@pytest.mark.parametrize("name", OUTPUTS)
def test_forged_outputs_end_nothing(sandbox, name):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    result = said(sandbox, run=OUTPUTS[name])
    assert result.outcomes[0].points == 1 and result.outcomes[1].points == 0
    assert result.notebook is not None and result.status is not Status.NOT_JUDGED, result.status
    assert len(json.dumps(result.notebook)) < 1_000_000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KiB, of whoever grades


# a function's answers, against a test that is honest about honest functions
ANSWERS = {
    "an exception that ends what goes through it": ("def f(x): raise StopIteration", "assert all(map(f, [1, 2, 3]))"),
    "its subclass": ("class Stop(StopIteration): pass\ndef f(x): raise Stop", "assert sum(map(f, [1, 2, 3])) == 0"),
    "another answer every time": ("seen = []\ndef f(x): seen.append(x); return len(seen)", "assert f(1) == f(1)"),
    "an answer by the number": ("def f(x): return {1: 1}.get(x, 0)", "assert f(1) == 1 and f(2) == 1"),
    "a function in the place of a value": ("def f(x): return f", "assert f(1)"),
    "a NaN as partial credit": ("def f(x): return float('nan')", "f(1)"),
    "a numpy number as partial credit": ("import numpy as np\ndef f(x): return np.float64(0)", "f(1)"),
    "a tensor as partial credit": ("import torch\ndef f(x): return torch.tensor(0.0)", "f(1)"),
    "a complex number as partial credit": ("def f(x): return 0j", "f(1)"),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_a_functions_answer_earns_nothing_that_it_is_not(sandbox, name):
    cell, test = ANSWERS[name]
    result = graded(sandbox, *own_lab(cell, test_cell("t", "f", test)))
    assert points(result) == 0 and result.notebook is not None


@pytest.mark.parametrize(
    "asks",
    [
        "from verifier import verify\nassert verify(net, [[0.0, 1.0]] * 2, [[None, None]])",
        "from verifier import output_bounds\nassert output_bounds(net, [[0.0, 1.0]] * 2)",
        "from verifier.asking.robustness import verify_robust\nassert verify_robust(net, [0.5, 0.5], 0, 0.01) is not None",
        "from verifier.pipeline import verify\nassert verify(net, [[0.0, 1.0]] * 2, [[None, None]])",
    ],
)
def test_the_name_of_a_file_is_no_network_for_any_question(sandbox, asks):
    for name in ("/opt/course/course_utils/data_files/net.onnx", "net.onnx"):
        result = graded(sandbox, *own_lab(f"net = {name!r}", test_cell("t", "net", asks)))
        assert points(result) == 0 and "not the name of a file" in result.outcomes[0].detail


def test_a_function_within_a_list_cannot_hand_on_what_it_was_told(sandbox):
    cell = "def f(x): raise ValueError(f'told {x}')\nfs = {'all': [f]}"
    result = graded(sandbox, *own_lab(cell, test_cell("t", "fs", "assert fs['all'][0](4711) == 1")))
    assert points(result) == 0 and "4711" not in result.outcomes[0].message
