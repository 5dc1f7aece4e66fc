# SPDX-License-Identifier: MIT
"""speedup.py THREADS COUNT - sums 0 ... COUNT - 1 in so many threads.

Prints the wall time and the CPU time of that in ns, and the sum.  For Python 2.7 and all since.
"""
import resource
import signal
import sys
import threading
import time

signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # no words when nobody reads any more
threads, count = int(sys.argv[1]), int(sys.argv[2])
sums = [0] * threads
wall_s = getattr(time, "perf_counter", time.time)


def cpu_s():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def work(me):
    number, end = count * me // threads, count * (me + 1) // threads
    total = 0
    while number < end:
        total += number
        number += 1
    sums[me] = total


workers = [threading.Thread(target=work, args=(me,)) for me in range(threads)]
wall, cpu = wall_s(), cpu_s()
for worker in workers:
    worker.start()
for worker in workers:
    worker.join()
wall, cpu = wall_s() - wall, cpu_s() - cpu
print("%d %d %d" % (wall * 1e9, cpu * 1e9, sum(sums)))
