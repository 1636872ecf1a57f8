"""A process with limits: control groups are files, so they are laid out in a folder; one test makes a real one."""

import functools
import math
import os
import subprocess
import sys
import warnings

import pytest
import torch

from attnprune_edu import _limits


@pytest.fixture
def control_groups(monkeypatch, tmp_path):
    """A function (membership, {file: content}) that lays out control groups as the kernel would."""

    def lay_out(membership, files):
        (tmp_path / "membership").write_text(membership)
        for name, content in files.items():
            path = tmp_path / "groups" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)

    monkeypatch.setattr(_limits, "_MEMBERSHIP", tmp_path / "membership")
    monkeypatch.setattr(_limits, "_CONTROL_GROUPS", tmp_path / "groups")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    return lay_out


V1 = "9:name=systemd:/\n4:memory:/jobs/mine\n2:cpu,cpuacct:/jobs/mine\n"
GIB = 2**30


@pytest.mark.parametrize(
    ("membership", "files", "cpus", "memory"),
    [
        ("", {}, 8, math.inf),
        ("0::/\n", {"cpu.max": "max 100000\n", "memory.max": "max\n"}, 8, math.inf),
        ("0::/\n", {"cpu.max": "250000 100000\n", "memory.max": f"{GIB}\n"}, 2, GIB),
        ("0::/\n", {"cpu.max": "50000 100000\n"}, 1, math.inf),
        ("0::/\n", {"cpu.max": "6400000 100000\n"}, 8, math.inf),  # more than there are
        ("0::/a.slice/b\n", {"a.slice/b/cpu.max": "200000 100000", "a.slice/b/memory.max": f"{GIB}"}, 2, GIB),
        ("0::/a/b\n", {"a/b/cpu.max": "400000 100000", "a/cpu.max": "30000 10000", "a/memory.max": f"{GIB}"}, 3, GIB),
        ("0::/a\n", {"b/cpu.max": "100000 100000", "b/memory.max": "1"}, 8, math.inf),  # somebody else's
        ("0::/\n", {"../cpu.max": "100000 100000", "../memory.max": "1"}, 8, math.inf),  # no control group
        ("0::/../../a\n", {"cpu.max": "200000 100000"}, 2, math.inf),  # seen from inside of a container
        (V1, {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 8, math.inf),
        (
            V1,
            {
                "cpu/jobs/mine/cpu.cfs_quota_us": "150000\n",
                "cpu/jobs/mine/cpu.cfs_period_us": "50000\n",
                "memory/memory.limit_in_bytes": "9223372036854771712\n",
                "memory/jobs/memory.limit_in_bytes": f"{GIB}\n",
            },
            3,
            GIB,
        ),
        # Docker with cgroup v1: the path is the machine's, the files are the container's.
        (V1, {"cpu/cpu.cfs_quota_us": "200000", "cpu/cpu.cfs_period_us": "100000"}, 2, math.inf),
        (V1 + "0::/jobs/mine\n", {"cpu/cpu.cfs_quota_us": "200000", "cpu/cpu.cfs_period_us": "100000"}, 2, math.inf),
    ],
)
def test_the_narrowest_limit_of_the_own_control_group_and_those_around_it_counts(
    control_groups, membership, files, cpus, memory
):
    control_groups(membership, files)
    assert _limits.cpus() == cpus and _limits.memory() == memory


def test_where_there_are_no_control_groups_the_cpus_that_the_process_may_run_on_count(control_groups, monkeypatch):
    assert _limits.cpus() == 8 and _limits.memory() == math.inf
    monkeypatch.delattr(os, "sched_getaffinity")
    assert _limits.cpus() == os.cpu_count()


@pytest.mark.parametrize(
    ("threads", "allowed", "environment", "torch_came_first", "lowered", "warned"),
    [
        (8, 2, {}, False, True, False),
        (2, 2, {}, False, False, False),
        (1, 2, {}, False, False, False),  # only ever lower
        (8, 2, {"OMP_NUM_THREADS": "8"}, False, False, False),
        (8, 2, {"MKL_NUM_THREADS": "8"}, True, False, False),
        (8, 2, {}, True, False, True),
        (2, 2, {}, True, False, False),
    ],
)
def test_threads_are_lowered_unless_somebody_may_have_chosen_them(
    monkeypatch, threads, allowed, environment, torch_came_first, lowered, warned
):
    for name in _limits.CHOICES:
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    chosen = []
    monkeypatch.setattr(torch, "get_num_threads", lambda: chosen[-1] if chosen else threads)
    monkeypatch.setattr(torch, "set_num_threads", chosen.append)
    monkeypatch.setattr(_limits, "_TORCH_CAME_FIRST", torch_came_first)
    monkeypatch.setattr(_limits, "cpus", lambda: allowed)
    lower_threads = functools.cache(_limits.lower_threads.__wrapped__)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        first, again = lower_threads(), lower_threads()
    assert first == again == (threads if lowered else None)
    assert chosen == ([allowed] if lowered else [])
    assert [f"torch.set_num_threads({allowed})" in str(warning.message) for warning in caught] == [True] * warned


@pytest.fixture
def one_cpu():
    """The folder of a real control group whose processes get one CPU's time."""
    for around in _limits._control_groups("cpu"):
        group = around / f"attnprune-{os.getpid()}"
        try:
            (around / "cgroup.procs").read_text()
            group.mkdir()
        except OSError:
            continue
        try:
            quota = group / "cpu.max"
            (quota if quota.exists() else group / "cpu.cfs_quota_us").write_text("100000")  # µs in a period of as many
            yield group
        except OSError as error:
            pytest.skip(f"control groups in {around} take no quota: {error}")
        finally:
            group.rmdir()
        return
    pytest.skip("this process may not make control groups, which takes root and a /sys/fs/cgroup that can be written to")


def test_a_process_in_a_real_control_group_keeps_to_its_quota(one_cpu):
    code = """if True:
        import importlib.util, os, pathlib, sys
        spec = importlib.util.spec_from_file_location("limits", sys.argv[1])  # without torch, whose import takes long
        limits = importlib.util.module_from_spec(spec); spec.loader.exec_module(limits)
        os.sched_getaffinity = lambda _: {0, 1, 2}
        pathlib.Path(sys.argv[2], "cgroup.procs").write_text(str(os.getpid()))
        print(limits.cpus())
    """
    run = subprocess.run([sys.executable, "-c", code, _limits.__file__, one_cpu], check=True, capture_output=True, text=True)
    assert run.stdout.strip() == "1"
