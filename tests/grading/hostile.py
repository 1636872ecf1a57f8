"""What a student's code may try, by accident or not: for the tests of the sandbox and the benchmark of grading."""

ENDS, MEMORY = "ended the process", "memory"
HOSTILE_CELLS = {  # what stands before the solution, and where the process had to be stopped, why
    "os._exit": ("import os; os._exit(0)", ENDS),
    "sys.exit": ("import sys; sys.exit(1)", None),
    "an endless loop": ("while True: pass", None),
    "an endless loop that swallows what interrupts it": (
        "while True:\n    try:\n        while True: sum(range(1000))\n    except BaseException: pass",
        "could not be interrupted",
    ),
    "a long computation in C": ("sum(range(10**12))", "be interrupted"),
    "no signal any more": (
        "import signal; signal.signal(signal.SIGPROF, signal.SIG_IGN)\nwhile True: pass",
        "be interrupted",
    ),
    "sleep": ("import time; time.sleep(10_000)", "waited for more"),
    "5 GB": ("ones = torch.ones(5 * 2**28)", None),
    "5 GB in pieces": ("pieces = []\nfor _ in range(100): pieces.append(bytearray(b'x' * 2**26))", None),
    "5 GB in children": (
        "import os, time\nfor _ in range(6):\n    if not os.fork():\n        some = bytearray(b'x' * 900_000_000)\n"
        "        time.sleep(99)\ntime.sleep(9)",
        MEMORY,
    ),
    "150 forks": ("import os, time\nfor _ in range(150):\n    if not os.fork(): time.sleep(100)", "too many processes"),
    "150 threads, one of which talks to the grader": (
        "import os, sys, threading, time\n"
        "def talk():\n    while True: os.write(int(sys.argv[1]), b'{}\\n'); time.sleep(0.02)\n"
        "for job in [talk] + [lambda: time.sleep(50)] * 150: threading.Thread(target=job, daemon=True).start()\n"
        "time.sleep(50)",
        "too many processes or threads",
    ),
    "children that compute and end": (
        "import os\nwhile True:\n    if not os.fork(): sum(range(4_000_000)); os._exit(0)\n    os.wait()",
        "be interrupted",
    ),
    "memory without a process": ("import os; os.memfd_create('hidden')", None),
    "memory of System V": ("import ctypes; assert ctypes.CDLL(None).shmget(0, 2**30, 0o1600) != -1", None),
    "a crash": ("import ctypes; ctypes.string_at(0)", ENDS),
    "killing the parent": ("import os, signal; os.kill(os.getppid(), signal.SIGKILL)", None),
    "killing everybody": ("import os, signal; os.kill(-1, signal.SIGKILL)", None),
    "30 MB of output": ("print('x' * 30_000_000)", None),
    "a full disk": ("open('big', 'wb').write(bytes(2**27))", None),
    "full shared memory": ("open('/dev/shm/big', 'wb').write(bytes(2**27))", None),
    "no standard output": ("import os; os.close(1); os.close(2)", None),
    "a message of millions of lists": (
        "import os, sys\nos.write(int(sys.argv[1]), b'{\"value\":[' + b'[],' * 2_000_000 + b'[]]}\\n')",
        "sent more than the grader takes",
    ),
    "a million empty messages": (
        "import os, sys\nos.write(int(sys.argv[1]), b'{}\\n' * 1_000_000)",
        "sent more than the grader takes",
    ),
    "a syntax error": ("def f(:", None),
    "conflict marks": ("<<<<<<< mine", None),
    "a fork that goes on": ("import os; os.fork()", None),
    "a thread for ever": (
        "import threading\nthreading.Thread(target=lambda: sum(iter(lambda: 0, 1)), daemon=True).start()",
        None,
    ),
    "deep recursion": ("def f(): return f()\nf()", None),
    "a transformer that empties later cells": ("get_ipython().input_transformers_post.append(lambda lines: [])", None),
}

HOSTILE_FUNCTIONS = {
    "endless": "while True: pass",
    "that swallows what interrupts it": (
        "while True:\n        try:\n            while True: sum(range(1000))\n        except BaseException: pass"
    ),
    "that exits": "import os; os._exit(0)",
    "that raises what it is given": "raise ValueError(str(model.conv1.weight))",
    "that interrupts": "raise KeyboardInterrupt",
    "with 5 GB": "return {'conv1': torch.ones(5 * 2**28)}",
    "with an endless structure": "loop = []; loop.append(loop); return loop",
    "that returns itself": "return my_importance",
    "that prints for ever": "while True: print('x' * 1000)",
}
