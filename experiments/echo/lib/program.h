/* SPDX-License-Identifier: MIT */
/*
 * program.h - the programs that the experiments of this group start, and what /proc shows of them.
 *
 * They are killed when this process ends, whatever ends it.  Everything here ends the process with
 * status 2 if the environment refuses it.
 */
#ifndef ECHO_PROGRAM_H
#define ECHO_PROGRAM_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

struct program {
	const char *name;
	pid_t pid;
	FILE *out; /* its standard output */
	int error; /* a file with its standard error */
};

/* ALL_CPUS, or one: counted as run_pin() does, modulo the number of those allowed. */
enum { ALL_CPUS = -1, SERVER_CPU = 0, LOAD_CPU = 1 };

/*
 * Starts argv, which NULL ends; its first word is a path, or is looked for in PATH.  It gets no transparent
 * huge pages.
 */
struct program program_start(const char *const argv[], int cpu);

/* From now on they may have n descriptors at most; 0 = as many as this process. */
void program_limit_files(int64_t n);

/*
 * Waits until it has ended, and returns its status as of waitpid(2).  said, if it is not NULL: what
 * program_complaint() says.
 */
int program_end(struct program *program, const char **said);

/* Whether it has ended; it is still to be waited for. */
bool program_has_ended(const struct program *program);

/* Kills it with the processes of its group, and waits. */
void program_kill(struct program *program);

/* The last line that it printed to standard error; overwritten by the next call. */
const char *program_complaint(const struct program *program);

/* The path of "echo-server" ... beside this program; ends the process where it is not built. */
const char *program_tool(const char *name, char path[PATH_MAX]);

/* The process and all that it has forked, at most `room`; returns how many. */
size_t program_family(pid_t pid, pid_t *family, size_t room);

/*
 * -1 if a thread of them all runs or could run; else a number that grows when one has run: two looks
 * with the same number were of the same sleep.
 */
int64_t program_asleep(pid_t pid);

/*
 * How often its threads have slept so far: what sleeps and has served since sleeps once more.  Its CPU
 * time need not have grown: time that a hypervisor took may be taken off it later.
 */
int64_t program_sleeps(pid_t pid);

/* CPU time of a process so far, with all of its threads; 0 if it is gone. */
int64_t program_cpu_ns(pid_t pid);

/* Threads of the process and all that it has forked; of them, those that sleep in this system call. */
int64_t program_threads(pid_t pid);
int64_t program_threads_in(pid_t pid, long call);

/* Their descriptors of sockets; of them, those with O_NONBLOCK. */
struct program_sockets {
	int64_t all, nonblocking;
};

struct program_sockets program_sockets(pid_t pid);

#endif
