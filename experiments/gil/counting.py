# SPDX-License-Identifier: MIT
"""Threads that count x up and down for a while, for Python 2.7 and all since, and for Jython.

counting.py [nojit] own|shared|locked:THREADS:MILLISECONDS:TURN ...

For so long each thread takes turns, of so many updates, and until each of them has taken one; for 0: one.
Threads 0, 2 ... do x += 1, threads 1, 3 ... x -= 1: each a global x of its own, or one that they share, or
its own, but in turns, for which there is one lock.  Prints "UPDATES ELAPSED_NS CPU_NS WRONG" for each:
updates by all, from the first begin to the last end, the CPU time of the threads (-1 where the kernel does
not tell), and by how much x is wrong at the end.  nojit: PyPy without its compiler.
"""
import sys
import threading
import time

LOOP = """
def loop():
    global x
    for _ in numbers:
        x {}= 1
"""

clock = getattr(time, "perf_counter", time.time)


def define(name, sign):
    exec(LOOP.format(sign), name)  # pylint: disable=exec-used
    return name["loop"]


def cpu_ns():
    """Of this thread; no function tells it in every Python."""
    try:
        with open("/proc/thread-self/schedstat") as file:
            return int(file.read().split()[0])
    except (IOError, OSError):
        return None


class Nothing(object):
    def __enter__(self):
        pass

    def __exit__(self, *_):
        pass


def measure(kind, threads, duration, turn):
    one = {"x": 0, "numbers": (xrange if sys.version_info[0] == 2 else range)(turn)}  # noqa: F821
    names = [one if kind == "shared" else dict(one) for _ in range(threads)]
    loops = [define(name, "+-"[me % 2]) for me, name in enumerate(names)]
    held = threading.Lock() if kind == "locked" else Nothing()
    go = threading.Event()
    begins, ends, used = [], [], []
    made = [0] * threads

    def body(me):
        go.wait()
        cpu = cpu_ns()
        begins.append(clock())
        while not made[me] or duration and (clock() < until or not all(made)):
            with held:
                loops[me]()
            made[me] += turn
        ends.append(clock())
        used.append(None if cpu is None else cpu_ns() - cpu)

    workers = [threading.Thread(target=body, args=(me,)) for me in range(threads)]
    for worker in workers:
        worker.daemon = True  # where one cannot be started, those that wait for it end with the program
        worker.start()
    until = clock() + duration
    go.set()
    for worker in workers:
        worker.join()
    x = one["x"] if kind == "shared" else sum(name["x"] for name in names)
    sys.stdout.write("%d %d %d %d\n" % (sum(made), (max(ends) - min(begins)) * 1e9,
                                        -1 if None in used else sum(used),
                                        x - sum(made[0::2]) + sum(made[1::2])))


arguments = sys.argv[1:]
if arguments[0] == "nojit" and arguments.pop(0):
    import pypyjit
    pypyjit.set_param("off")
for argument in arguments:
    what, number, milliseconds, updates = argument.split(":")
    measure(what, int(number), int(milliseconds) / 1e3, int(updates))
