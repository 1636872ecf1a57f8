"""What a sandbox refuses of the kernel: memory that belongs to no process, and what its user, the teacher, has few of.

Resident memory is how a submission is measured, and it does not show memory behind a descriptor or in an object of
System V. The kernel takes a filter as a small program (see seccomp(2) and linux/filter.h); bubblewrap hands it over.
"""

import errno
import os
import platform
import struct
import tempfile

LOAD, EQUAL, AT_LEAST, RETURN = 0x20, 0x15, 0x35, 0x06  # instructions on 32 bits
NUMBER, ARCHITECTURE = 0, 4  # where they stand in what the filter is shown
ALLOW, FAIL = 0x7FFF0000, 0x00050000
OTHER_NUMBERS = 0x40000000  # from here on, x86-64 has the same calls once more under other numbers
GENERIC = {
    **{"memfd_create": 279, "memfd_secret": 447, "shmget": 194, "semget": 190, "msgget": 186, "mq_open": 180},
    **{"io_uring_setup": 425, "inotify_init1": 26, "fanotify_init": 262, "userfaultfd": 282},
    **{"add_key": 217, "request_key": 218, "keyctl": 219, "ptrace": 117, "bpf": 280, "perf_event_open": 241},
}
X86_64 = {
    **{"memfd_create": 319, "memfd_secret": 447, "shmget": 29, "semget": 64, "msgget": 68, "mq_open": 240},
    **{"io_uring_setup": 425, "inotify_init": 253, "inotify_init1": 294, "fanotify_init": 300, "userfaultfd": 323},
    **{"add_key": 248, "request_key": 249, "keyctl": 250, "ptrace": 101, "bpf": 321, "perf_event_open": 298},
}
MACHINES = {  # the kernel's number for each architecture, and its numbers for the calls that are refused
    "x86_64": (0xC000003E, X86_64),
    "aarch64": (0xC00000B7, GENERIC),
    "riscv64": (0xC00000F3, GENERIC),
}


def is_known(machine: str | None = None) -> bool:
    """Whether there is a filter for this ``machine``, by the name that ``uname -m`` prints; None: the one that this is."""
    return (machine or platform.machine()) in MACHINES


def filter_of(machine: str) -> bytes:
    """The program that lets a ``machine`` act as if its kernel had none of the calls that are refused."""
    architecture, refused = MACHINES[machine]
    tests = [(EQUAL, number) for number in refused.values()] + [(AT_LEAST, OTHER_NUMBERS)]
    program = [(LOAD, 0, 0, ARCHITECTURE), (EQUAL, 0, len(tests) + 2, architecture), (LOAD, 0, 0, NUMBER)]
    program += [(test, len(tests) - place, 0, number) for place, (test, number) in enumerate(tests)]
    program += [(RETURN, 0, 0, ALLOW), (RETURN, 0, 0, FAIL | errno.ENOSYS)]
    return b"".join(struct.pack("HBBI", *instruction) for instruction in program)


def open_filter() -> int:
    """A file descriptor from which bubblewrap can read the filter of this machine."""
    with tempfile.TemporaryFile() as file:
        file.write(filter_of(platform.machine()))
        file.seek(0)
        return os.dup(file.fileno())
