# SPDX-License-Identifier: MIT
"""Run a program as in a container:  seccomp.py PROGRAM [ARGUMENT...]

Of what Docker's default profile forbids who lacks CAP_SYS_ADMIN, what the suite could use: namespaces
(unshare, setns, and clone with their flags; clone3, whose flags a filter cannot see, fails with ENOSYS
as there), mounts, and io_uring, which it forbids to all.  Numbers: x86-64's, and those of AArch64.
"""
import ctypes
import errno
import os
import struct
import sys

NUMBERS = {"x86_64": {"unshare": 272, "setns": 308, "mount": 165, "clone": 56},
           "aarch64": {"unshare": 97, "setns": 268, "mount": 40, "clone": 220}}
ALIKE = {"io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427, "clone3": 435}
NAMESPACES = 0x7E020000  # CLONE_NEW*
PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, PR_CAPBSET_DROP, FILTER = 22, 38, 24, 2
CAP_SYS_ADMIN, CAP_NET_ADMIN = 21, 12
LOAD, EQUAL, ANY_BIT, RETURN = 0x20, 0x15, 0x45, 0x06  # linux/bpf_common.h
ALLOW, ERROR = 0x7FFF0000, 0x00050000  # linux/seccomp.h
NUMBER, FLAGS = 0, 16  # offsets in struct seccomp_data


def instruction(code, value, yes=0, no=0):
    return struct.pack("HBBI", code, yes, no, value)


def program():
    numbers = {**NUMBERS[os.uname().machine], **ALIKE}
    clone = numbers.pop("clone")
    code = [instruction(LOAD, NUMBER)]
    for name, number in numbers.items():
        error = errno.ENOSYS if name == "clone3" else errno.EPERM
        code += [instruction(EQUAL, number, 0, 1), instruction(RETURN, ERROR | error)]
    code += [instruction(EQUAL, clone, 0, 3), instruction(LOAD, FLAGS),
             instruction(ANY_BIT, NAMESPACES, 0, 1), instruction(RETURN, ERROR | errno.EPERM),
             instruction(RETURN, ALLOW)]
    return code


class Filter(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("code", ctypes.c_char_p)]


def main():
    libc = ctypes.CDLL(None, use_errno=True)

    def control(*arguments):
        if libc.prctl(*arguments) != 0:
            sys.exit(f"seccomp.py: prctl: {os.strerror(ctypes.get_errno())}")

    code = program()
    if os.geteuid() == 0:
        control(PR_CAPBSET_DROP, CAP_SYS_ADMIN, 0, 0, 0)
        control(PR_CAPBSET_DROP, CAP_NET_ADMIN, 0, 0, 0)
    control(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    control(PR_SET_SECCOMP, FILTER, ctypes.byref(Filter(len(code), b"".join(code))), 0, 0)
    os.execv(sys.argv[1], sys.argv[1:])


if __name__ == "__main__":
    main()
