import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from cli.demo.processes import Processes, ProcessFailed, free_port
from tests.waiting import until

SLEEP = "import time; time.sleep(600)"
FAMILY = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {SLEEP!r}]).wait()"


def descendants() -> set[int]:
    return {process.pid for process in psutil.Process().children(recursive=True)}


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_stopping_leaves_no_grandchild(tmp_path: Path):
    before = descendants()
    with Processes(tmp_path) as processes:
        processes.launch("family", [sys.executable, "-c", FAMILY], environment=dict(os.environ))
        until(lambda: len(descendants() - before) >= 2)
        family = descendants() - before
    until(lambda: all(gone(pid) for pid in family))


def test_a_killed_parent_leaves_no_child(tmp_path: Path):
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import os, sys, time\n"
            "from pathlib import Path\n"
            "from cli.demo.processes import Processes\n"
            f"s = Processes(Path({str(tmp_path)!r}))\n"
            f"s.launch('child', [sys.executable, '-c', {SLEEP!r}], environment=dict(os.environ))\n"
            "print(s._processes['child'].pid, flush=True)\n"
            "time.sleep(600)\n",
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    with parent.stdout as output:
        child = int(output.readline())
    # The child sets its death signal before it becomes the program, so wait for the program.
    until(
        lambda: (
            "time.sleep" in " ".join(psutil.Process(child).cmdline())
            and "mammo.leash" not in str(psutil.Process(child).cmdline())
        )
    )
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    until(lambda: gone(child))


def test_a_process_that_ends_early_is_reported_with_the_end_of_its_log(tmp_path: Path):
    with Processes(tmp_path) as processes, pytest.raises(ProcessFailed, match=r"exit code 3(.|\n)*no luck"):
        processes.start(
            "unlucky",
            [sys.executable, "-c", "print('no luck'); raise SystemExit(3)"],
            environment=dict(os.environ),
            ready=lambda: False,
            within=30,
        )


def test_a_process_that_is_never_ready_is_given_up(tmp_path: Path):
    with Processes(tmp_path) as processes, pytest.raises(ProcessFailed, match="not ready"):
        processes.start(
            "slow",
            [sys.executable, "-c", SLEEP],
            environment=dict(os.environ),
            ready=lambda: False,
            within=0.5,
        )


def test_a_free_port_is_free():
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", free_port()))
