"""The command line: what it prints, how it ends, and that a list of instances survives what happens to one."""

from __future__ import annotations

import csv
import gzip
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from verifier.__main__ import main
from verifier.command import batch
from verifier.command.batch import COLUMNS, Instance, Row, run_instance
from verifier.errors import SpecError

from . import small_files

ROOT = Path(__file__).parents[2]


def run(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return subprocess.run(
        [sys.executable, "-m", "verifier", *map(str, arguments)], cwd=cwd, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": path}, timeout=120,
    )  # fmt: skip


@pytest.mark.parametrize(("limit", "printed"), [(2.001, "unsat\n"), (1.9, "sat\n")])
def test_the_first_line_is_the_verdict(tmp_path, capsys, limit, printed):
    net, spec = small_files.network(tmp_path), small_files.above(tmp_path, limit)
    assert main(["verify", str(net), str(spec), "--timeout", "30"]) == 0
    assert capsys.readouterr().out.startswith(printed)


def test_a_counterexample_is_printed_as_the_competition_wants_it(tmp_path, capsys):
    """((X_0 v) ... (Y_0 v)), one pair a line; the numbers read back satisfy the property."""
    main(["verify", str(small_files.network(tmp_path)), str(small_files.above(tmp_path, 1.9))])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "sat" and lines[1].startswith("((X_0 ") and lines[-1].endswith("))")
    values = {name: float(value) for name, value in re.findall(r"\((\w+) ([^()]+)\)", "\n".join(lines[1:]))}
    assert list(values) == ["X_0", "X_1", "Y_0", "Y_1"]
    # inputs are clipped to [-100, 100] as the format says, which rounds at that size
    assert values["Y_0"] == pytest.approx(values["X_0"] + values["X_1"], abs=1e-13) and values["Y_0"] >= 1.9


def test_unknown_and_timeout_are_told_apart(tmp_path, capsys):
    net, spec = str(small_files.network(tmp_path)), str(small_files.above(tmp_path, 1.9))
    assert main(["verify", net, spec, "--method", "ibp"]) == 0
    assert main(["verify", net, spec, "--timeout", "1e-9"]) == 0
    assert capsys.readouterr().out == "unknown\ntimeout\n"


def test_time_that_runs_out_in_the_last_attack_is_a_timeout(tmp_path, capsys, monkeypatch):
    """Two rows that cannot be met together, which no bound of one row tells; the attack takes all the time there is."""
    from verifier.stages import Run

    def slow(run: Run) -> None:
        time.sleep(max(0.0, run.budget.seconds_left))

    monkeypatch.setattr(Run, "attack_thoroughly", slow)
    monkeypatch.setattr("verifier.stages.SPLIT_INPUTS", 1)
    rows = "(assert (>= Y_0 1.5))(assert (>= Y_1 0.51))"
    spec = small_files.write(tmp_path, "p.vnnlib", small_files.DECLARED + small_files.UNIT_BOX + rows)
    assert main(["verify", str(small_files.network(tmp_path)), str(spec), "--timeout", "1"]) == 0
    assert capsys.readouterr().out == "timeout\n"


def test_json_holds_the_whole_result(tmp_path, capsys):
    net = str(small_files.network(tmp_path))
    main(["verify", net, str(small_files.above(tmp_path, 1.9)), "--json"])
    found = json.loads(capsys.readouterr().out)
    x, y = found["counterexample"]["x"], found["counterexample"]["y"]
    assert found["verdict"] == "sat" and sum(x) == pytest.approx(y[0], abs=1e-13)  # clipping rounds, as above
    main(["verify", net, str(small_files.above(tmp_path, 3)), "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["verdict"] == "unsat" and found["counterexample"] is None and found["stage"] == "interval"
    assert found["output_bounds"]["upper"][0] == pytest.approx(2) and found["margin"] == pytest.approx(1)
    assert {"guarantee", "reason", "subdomains", "seconds", "cpu_seconds"} <= set(found)


@pytest.mark.parametrize(
    ("network", "spec", "said"),
    [
        ("missing.nnet", "p.vnnlib", "there is no file"),
        ("pair.nnet", "missing.vnnlib", "there is no file"),
        ("bad.nnet", "p.vnnlib", "bad.nnet, line 1"),
        ("pair.nnet", "bad.vnnlib", "bad.vnnlib, line 1: unknown command 'asert'"),
        ("p.vnnlib", "p.vnnlib", "ends in neither .onnx"),
    ],
)
def test_what_cannot_be_read_ends_with_status_2_and_one_line(tmp_path, capsys, network, spec, said):
    small_files.network(tmp_path), small_files.above(tmp_path, 1)
    small_files.write(tmp_path, "bad.nnet", "nonsense")
    small_files.write(tmp_path, "bad.vnnlib", "(asert true)")
    assert main(["verify", str(tmp_path / network), str(tmp_path / spec)]) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and said in printed.err
    assert printed.err.startswith("error: ") and printed.err.count("\n") == 1


def test_nothing_but_the_answer_is_on_standard_output(tmp_path, capfd, monkeypatch):
    """A library prints from Python and from C, with a buffer of its own, while the question is answered."""
    import ctypes

    from verifier.asking import files

    def noisy(*arguments, **options):
        print("a line of Python's")
        os.write(1, b"a line of the system's\n")
        if os.name != "nt":
            ctypes.CDLL(None).puts(b"a line of C's")
        return verify_files(*arguments, **options)

    verify_files = files.verify_files
    monkeypatch.setattr(files, "verify_files", noisy)
    net, spec = str(small_files.network(tmp_path)), str(small_files.above(tmp_path, 3))
    assert main(["verify", net, spec]) == 0
    printed = capfd.readouterr()
    assert printed.out == "unsat\n" and "Python's" in printed.err and "system's" in printed.err
    assert main(["verify", net, spec, "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["verdict"] == "unsat"


def test_the_answer_goes_to_a_file_where_one_is_named(tmp_path, capsys):
    net, spec, out = str(small_files.network(tmp_path)), str(small_files.above(tmp_path, 3)), tmp_path / "out.json"
    assert main(["verify", net, spec, "--json", "--output", str(out)]) == 0
    assert json.loads(out.read_text())["verdict"] == "unsat" and capsys.readouterr().out == ""
    assert main(["verify", net, spec, "--output", str(tmp_path / "no" / "out")]) == 2
    assert "--output:" in capsys.readouterr().err


@pytest.mark.skipif(os.name == "nt", reason="pipes end otherwise there")
@pytest.mark.parametrize("arguments", [("verify", "{net}", "{spec}"), ("--help",)])
def test_a_reader_that_has_seen_enough_ends_the_command_quietly(tmp_path, arguments):
    """As `| head -0`: the pipe is closed before anything is written."""
    net, spec = small_files.network(tmp_path), small_files.above(tmp_path, 1.9)
    reading, writing = os.pipe()
    os.close(reading)
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, "-m", "verifier", *(one.format(net=net, spec=spec) for one in arguments)], stdout=writing,
        stderr=subprocess.PIPE, text=True, check=False, timeout=120, env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip
    os.close(writing)
    assert done.stderr == "" and done.returncode in ((141,) if "verify" in arguments else (141, 0))


def test_an_interrupted_question_is_unknown_and_ends_as_a_shell_says_it(tmp_path, capsys, monkeypatch):
    from verifier.stages import Run

    def pressed(run: Run) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Run, "go", pressed)
    assert main(["verify", str(small_files.network(tmp_path)), str(small_files.above(tmp_path, 3))]) == 130
    assert capsys.readouterr().out == "unknown\n"


def test_warnings_are_one_line_each_on_standard_error(tmp_path, capsys):
    """A .nnet file whose means and ranges have no entry for the outputs."""
    text = small_files.NETWORK.replace("0.0, 0.0, 0.0,", "0.0, 0.5,").replace("1.0, 1.0, 1.0,", "1.0, 2.0,")
    net = small_files.write(tmp_path, "short.nnet", text)
    assert main(["verify", str(net), str(small_files.above(tmp_path, 3))]) == 0
    printed = capsys.readouterr()
    assert (
        printed.out == "unsat\n" and printed.err.startswith("warning: net: short.nnet") and printed.err.count("\n") == 1
    )


def test_unknown_methods_and_bad_limits_end_with_status_2(tmp_path, capsys):
    net, spec = str(small_files.network(tmp_path)), str(small_files.above(tmp_path, 1))
    assert main(["verify", net, spec, "--method", "magic"]) == 2
    for limit in ("0", "-1", "inf", "soon"):
        with pytest.raises(SystemExit) as stopped:
            main(["verify", net, spec, "--timeout", limit])
        assert stopped.value.code == 2
    assert "magic" in capsys.readouterr().err


def test_a_process_of_its_own_reads_compressed_files_without_torch(tmp_path):
    """A trivial question about an ONNX file, as a whole process, in at most one second of CPU."""
    onnx = pytest.importorskip("onnx")
    from onnx import helper

    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])], "net",
        [helper.make_tensor_value_info("x", 1, (1, 2))], [helper.make_tensor_value_info("y", 1, (1, 2))],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    onnx.save(model, str(tmp_path / "net.onnx"))
    (tmp_path / "net.onnx.gz").write_bytes(gzip.compress((tmp_path / "net.onnx").read_bytes()))
    spec = small_files.above(tmp_path, 1.5)
    (tmp_path / "p.vnnlib.gz").write_bytes(gzip.compress(spec.read_bytes()))
    before = os.times()
    found = run("verify", tmp_path / "net.onnx.gz", tmp_path / "p.vnnlib.gz")
    after = os.times()
    assert (found.stdout, found.stderr, found.returncode) == ("unsat\n", "", 0)
    cpu = (after.children_user + after.children_system) - (before.children_user + before.children_system)
    assert cpu < 1.0  # about 0.35 s; torch alone takes more than a second to import


# Lists of instances


@pytest.fixture
def listed(tmp_path):
    """Four instances: unsat, sat, one whose property is missing, and one whose property is stored compressed."""
    small_files.network(tmp_path)
    small_files.above(tmp_path, 3, "high.vnnlib")
    small_files.above(tmp_path, 1, "low.vnnlib")
    packed = small_files.above(tmp_path, 4, "packed.vnnlib")
    (tmp_path / "packed.vnnlib.gz").write_bytes(gzip.compress(packed.read_bytes()))
    packed.unlink()
    names = ("high", "low", "missing", "packed")
    return small_files.write(tmp_path, "list.csv", "".join(f"pair.nnet,{name}.vnnlib,20\n" for name in names))


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_list_is_run_in_parallel_and_written_in_its_order(tmp_path, listed):
    pytest.importorskip("distributed")
    out = tmp_path / "out.csv"
    expected = "onnx,vnnlib,timeout,verdict\n" + "".join(
        f"pair.nnet,{name}.vnnlib,20,{verdict}\n"
        for name, verdict in (("high", "unsat"), ("low", "sat"), ("missing", "sat"), ("packed", "unknown"))
    )
    small_files.write(tmp_path, "expected.csv", expected)
    done = run("batch", listed, "--results", out, "--workers", "2", "--expected", tmp_path / "expected.csv")
    assert done.returncode == 0, done.stderr
    rows = table(out)
    assert tuple(rows[0]) == COLUMNS
    assert [row["verdict"] for row in rows] == ["unsat", "sat", "unknown", "unsat"]
    assert [row["stage"] for row in rows][2] == "unreadable" and float(rows[0]["cpu_seconds"]) > 0
    assert "right 2, wrong 0, unsolved 1; 1 settled whose verdict is not known" in done.stdout
    assert "missing.vnnlib" in done.stderr and "2 unsat, 1 sat, 1 unknown, 0 timeout" in done.stdout
    assert "instances/s" not in done.stderr  # no bar on what is not a terminal


def test_a_wrong_verdict_ends_with_status_1_and_is_named(tmp_path, listed):
    """All rows are there already, so that nothing is run."""
    names = ("high", "low", "missing", "packed")
    rows = "".join(f"pair.nnet,{name}.vnnlib,unsat,1,1,1,interval\n" for name in names)
    out = small_files.write(tmp_path, "out.csv", ",".join(COLUMNS) + "\n" + rows)
    known = small_files.write(tmp_path, "known.csv", "onnx,vnnlib,verdict\npair.nnet,low.vnnlib,sat\n")
    done = run("batch", listed, "--results", out, "--expected", known)
    assert done.returncode == 1 and "wrong: pair.nnet, low.vnnlib: unsat, expected sat" in done.stdout
    assert "4 of 4 instances are done already" in done.stderr


def test_a_half_written_file_is_continued(tmp_path, listed):
    """Two rows are kept, the one that was cut off and the one that is missing are run."""
    pytest.importorskip("distributed")
    kept = "pair.nnet,low.vnnlib,timeout,9,9,9,kept\npair.nnet,missing.vnnlib,unknown,9,9,9,kept\n"
    out = small_files.write(tmp_path, "out.csv", ",".join(COLUMNS) + "\n" + kept + "pair.nnet,high.vnn")
    done = run("batch", listed, "--results", out, "--workers", "1")
    assert done.returncode == 0, done.stderr
    assert [row["stage"] == "kept" for row in table(out)] == [False, True, True, False]
    assert [row["verdict"] for row in table(out)] == ["unsat", "timeout", "unknown", "unsat"]


def test_other_files_are_not_overwritten_and_bad_lists_are_refused(tmp_path, listed, capsys):
    other = small_files.write(tmp_path, "other.csv", "name,points\nAda,3\n")
    assert main(["batch", str(listed), "--results", str(other)]) == 2
    assert "is no results file" in capsys.readouterr().err and "Ada" in other.read_text()
    for text, said in (
        ("", "lists no instance"), ("a.onnx,b.vnnlib\n", "line 1"), ("a.onnx,b.vnnlib,soon\n", "line 1"),
        ("a.onnx,b.vnnlib,0\n", "time limit 0"),
    ):  # fmt: skip
        with pytest.raises(SpecError, match=said):
            batch.read_instances(small_files.write(tmp_path, "bad.csv", text))
    with pytest.raises(SpecError, match="expected a header"):
        batch.read_expected(small_files.write(tmp_path, "bad.csv", "a,b\n"))
    assert main(["batch", str(tmp_path / "no.csv"), "--results", str(tmp_path / "out.csv")]) == 2
    assert main(["batch", str(listed), "--results", str(tmp_path / "out.csv"), "--workers", "0"]) == 2


def test_an_instance_listed_twice_has_two_rows():
    one = Instance("a", "b", 1.0)
    row = Row("a", "b", "sat")
    assert batch._without([one, one], [row]) == [one] and batch._without([one, one], [row, row]) == []


def stand_in(tmp_path: Path, body: str) -> str:
    """A program that takes the place of Python."""
    path = tmp_path / "python"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.skipif(os.name == "nt", reason="the stand-in is a shell script")
def test_a_process_that_crashes_or_does_not_end_is_one_row(tmp_path, monkeypatch):
    monkeypatch.setattr(batch.sys, "executable", stand_in(tmp_path, "kill -9 $$"))
    row = run_instance(Instance("a", "b", 1.0), str(tmp_path), "auto", 1)
    assert (row.verdict, row.stage) == ("unknown", "crashed") and "-9" in row.message
    monkeypatch.setattr(batch.sys, "executable", stand_in(tmp_path, "exec sleep 30"))
    monkeypatch.setattr(batch, "GRACE_S", 0.1)
    started = time.perf_counter()
    row = run_instance(Instance("a", "b", 0.2), str(tmp_path), "auto", 1)
    assert (row.verdict, row.stage) == ("timeout", "ended") and time.perf_counter() - started < 10


@pytest.mark.skipif(os.name == "nt", reason="the stand-in is a shell script")
def test_an_answer_is_taken_from_its_file_whatever_is_printed(tmp_path, monkeypatch):
    """A process that prints a banner, writes its answer and then crashes has settled its instance."""
    answer = json.dumps({"verdict": "unsat", "seconds": 1, "cpu_seconds": 1, "subdomains": 3, "stage": "split"})
    body = f'echo banner\nwhile [ "$1" != --output ]; do shift; done\necho \'{answer}\' > "$2"\nkill -11 $$'
    monkeypatch.setattr(batch.sys, "executable", stand_in(tmp_path, body))
    row = run_instance(Instance("a", "b", 1.0), str(tmp_path), "auto", 1)
    assert (row.verdict, row.subdomains, row.stage) == ("unsat", "3", "split")


@pytest.mark.skipif(os.name == "nt", reason="the stand-in is a shell script")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_running_processes_and_leaves_a_file_to_go_on_from(tmp_path, listed, how):
    """Two of four instances run for a minute when Ctrl-C comes: they are ended, and the other two never begin."""
    pytest.importorskip("distributed")
    slow = stand_in(tmp_path, f"echo $$ > {tmp_path}/$$.pid; exec sleep 60")
    arguments = ["batch", str(listed), "--results", str(tmp_path / "out.csv"), "--workers", "2"]
    code = f"import sys; from verifier.__main__ import main; sys.executable = {slow!r}; sys.exit(main({arguments!r}))"
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    with subprocess.Popen(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": path}, stderr=subprocess.PIPE, text=True
    ) as process:
        until = time.perf_counter() + 60
        while len(list(tmp_path.glob("*.pid"))) < 2 and time.perf_counter() < until:
            time.sleep(0.05)
        time.sleep(0.3)
        process.send_signal(how)
        pressed = time.perf_counter()
        said = process.communicate(timeout=60)[1]
        assert process.returncode == 130 and time.perf_counter() - pressed < 15  # Dask alone would wait for 30
    assert "the same command goes on after the 0 instances" in said
    begun = [int(path.stem) for path in tmp_path.glob("*.pid")]
    assert len(begun) == 2
    for pid in begun:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    assert run(*arguments).returncode == 0
    assert [row["verdict"] for row in table(tmp_path / "out.csv")] == ["unsat", "sat", "unknown", "unsat"]


def test_without_dask_the_message_says_how_to_install_it(tmp_path, listed, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert main(["batch", str(listed), "--results", str(tmp_path / "out.csv")]) == 2
    assert "pip install 'nn-verification-course[batch]'" in capsys.readouterr().err


def test_the_bounding_method_inside_a_split_can_be_chosen(tmp_path, capsys):
    net, spec = str(small_files.network(tmp_path)), str(small_files.above(tmp_path, 2.001))
    assert main(["verify", net, spec, "--method", "split", "--bounds", "ibp"]) == 0
    assert capsys.readouterr().out == "unsat\n"
    assert main(["verify", net, spec, "--bounds", "ibp"]) == 2
    assert "only method='split' takes a bounding method inside" in capsys.readouterr().err
