"""What this process may use of its machine, and torch's number of threads, which must not be more than that.

A container, a batch job or a systemd service often gets a share of its machine's CPUs and memory, by Linux control groups.
torch starts a thread for each core of the machine all the same; they use up the share together, wait for it and for each
other, and training takes several times as long.

Libraries that count CPUs, such as loky, read only the outermost control group, and round a quota up.
"""

import functools
import math
import os
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

CHOICES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")  # environment variables by which a user chooses torch's number of threads

_MEMBERSHIP, _CONTROL_GROUPS = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")
_TORCH_CAME_FIRST = "torch" in sys.modules


@functools.cache  # once for a process: what is chosen afterwards stays
def lower_threads() -> int | None:
    """Keep torch from using more threads than ``cpus()``; return how many it would have used, None if nothing was done.

    Who chose a number keeps it, be it by an environment variable (``CHOICES``) or by ``torch.set_num_threads``. torch does
    not tell a number that was set from its own, so if torch was imported before this package, too many threads are left
    alone with a UserWarning.
    """
    import torch  # not above, where it would always seem to have been imported before

    threads, allowed = torch.get_num_threads(), cpus()
    if threads <= allowed or any(map(os.environ.get, CHOICES)):
        return None
    if _TORCH_CAME_FIRST:
        warnings.warn(
            f"torch uses {threads} threads, more than the {allowed} CPU(s) that this process may keep busy, and trains "
            f"slowly. Import attnprune_edu before torch, or call torch.set_num_threads({allowed})",
            stacklevel=3,
        )
        return None
    torch.set_num_threads(allowed)
    return threads


def cpus() -> int:
    """How many CPUs this process may keep busy, at least 1: those it may run on, or fewer if a quota limits its time.

    Fractions are cut off: where threads get less than a CPU each, they are stopped in turns, and the others wait for them.
    """
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quotas = _limits("cpu", ["cpu.max"], ["cpu.cfs_quota_us", "cpu.cfs_period_us"])
    return max(1, min([available, *(quota // period for quota, period in quotas if quota > 0)]))


def memory() -> float:
    """How many bytes of memory this process and those beside it may use together; infinity if nothing limits them."""
    return min((limit for (limit,) in _limits("memory", ["memory.max"], ["memory.limit_in_bytes"])), default=math.inf)


def _limits(controller: str, *files: list[str]) -> Iterator[list[int]]:
    """The numbers in ``files`` (those of cgroup v2, those of v1) of each control group that this process is in."""
    for group in _control_groups(controller):
        for names in files:
            try:
                yield [int(word) for name in names for word in (group / name).read_text().split()]
            except (OSError, ValueError):  # not there, or "max", which is no limit
                continue


def _control_groups(controller: str) -> Iterator[Path]:
    """The folders of the control groups that this process is in, its own first; none where there is no Linux."""
    try:
        lines = _MEMBERSHIP.read_text().splitlines()
    except OSError:
        return
    for line in lines:  # "0::/user.slice" in cgroup v2; "4:cpu,cpuacct:/user.slice" in v1, which has several such lines
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        root = _CONTROL_GROUPS / controller if controllers else _CONTROL_GROUPS
        own = root / path.lstrip("/")
        # A container may see its path on the machine, which is not there; its own group is then the root.
        yield from (group for group in (own, *own.parents) if group.is_relative_to(root))
