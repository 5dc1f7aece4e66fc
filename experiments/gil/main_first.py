# SPDX-License-Identifier: MIT
"""The notes' program: a thread sums range(1, 100000) while the main thread goes on.

main_first.py [SWITCH_INTERVAL_US]     for Python 2.7 and all since
"""
import signal
import sys
import threading


def add():
    total = 0
    for number in range(1, 100000):
        total += number
    sys.stdout.write("sum %d\n" % total)


signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # no words when nobody reads any more
if sys.argv[1:]:
    sys.setswitchinterval(int(sys.argv[1]) / 1e6)
thread = threading.Thread(target=add)
thread.start()
sys.stdout.write("main\n")
thread.join()
