/* SPDX-License-Identifier: MIT */
#include "thread.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exp.h"
#include "span.h"

/* What a file begins with; false if it cannot be read. */
static bool read_file(const char *path, char *text, size_t size)
{
	FILE *file = fopen(path, "re");

	*text = 0;
	if (!file)
		return false;
	text[fread(text, 1, size - 1, file)] = 0;
	fclose(file);
	return true;
}

/* Of a file stat of proc(5). */
static char state_in(const char *path)
{
	char stat[512];
	const char *name_end;

	if (!read_file(path, stat, sizeof(stat)))
		return '?';
	name_end = strrchr(stat, ')'); /* the name may hold anything */
	if (!name_end || !name_end[1])
		return '?';
	return name_end[2];
}

char thread_state(pid_t tid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", (int)tid);
	return state_in(path);
}

char process_state(pid_t pid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	return state_in(path);
}

bool thread_count(pid_t tid, struct thread_counts *counts)
{
	char numbers[128];
	char path[64];
	char *rest = numbers;

	snprintf(path, sizeof(path), "/proc/self/task/%d/schedstat", (int)tid);
	if (!read_file(path, numbers, sizeof(numbers)))
		return false;
	counts->running_ns = strtoll(rest, &rest, 10);
	counts->ready_ns = strtoll(rest, &rest, 10);
	/* how often it began to run: 0, as all are, where nothing is counted */
	return strtoll(rest, NULL, 10) > 0;
}

/*
 * A thread that is about to sleep has the state S already, and may lose its CPU to others just then.  Its
 * file syscall waits until that is over, and then says in which call it is.
 */
static bool has_left_its_cpu(pid_t tid)
{
	char path[64], call[16];

	snprintf(path, sizeof(path), "/proc/self/task/%d/syscall", (int)tid);
	return !read_file(path, call, sizeof(call)) || strncmp(call, "running", 7) != 0;
}

bool thread_await_sleep(const atomic_int *tid, const atomic_bool *returned)
{
	int looks = 0;

	while (looks < 3) {
		if (atomic_load(returned) || !run_sleep_until(span_now() + 500000))
			return false;
		looks = thread_state(atomic_load(tid)) == 'S' && has_left_its_cpu(atomic_load(tid))
				? looks + 1
				: 0;
	}
	return true;
}
