/* SPDX-License-Identifier: MIT */
#include "thread.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exp.h"
#include "span.h"

/* Of a file stat of proc(5). */
static char state_in(const char *path)
{
	FILE *file = fopen(path, "re");
	char stat[512] = "";
	const char *name_end;

	if (!file)
		return '?';
	stat[fread(stat, 1, sizeof(stat) - 1, file)] = 0;
	fclose(file);
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
	char numbers[128] = "";
	char path[64];
	char *rest = numbers;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/task/%d/schedstat", (int)tid);
	file = fopen(path, "re");
	if (!file)
		return false;
	numbers[fread(numbers, 1, sizeof(numbers) - 1, file)] = 0;
	fclose(file);
	counts->running_ns = strtoll(rest, &rest, 10);
	counts->ready_ns = strtoll(rest, &rest, 10);
	/* how often it began to run: 0, as all are, where nothing is counted */
	return strtoll(rest, NULL, 10) > 0;
}

bool thread_await_sleep(const atomic_int *tid, const atomic_bool *returned)
{
	int looks = 0;

	while (looks < 3) {
		if (atomic_load(returned) || !run_sleep_until(span_now() + 500000))
			return false;
		looks = thread_state(atomic_load(tid)) == 'S' ? looks + 1 : 0;
	}
	return true;
}
