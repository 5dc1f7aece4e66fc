/* SPDX-License-Identifier: MIT */
#include "thread.h"

#include <stdio.h>
#include <string.h>

#include "exp.h"
#include "span.h"

char thread_state(pid_t tid)
{
	char stat[512] = "";
	char path[64];
	const char *name_end;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", (int)tid);
	file = fopen(path, "re");
	if (!file)
		return '?';
	stat[fread(stat, 1, sizeof(stat) - 1, file)] = 0;
	fclose(file);
	name_end = strrchr(stat, ')'); /* the name may hold anything */
	if (!name_end || !name_end[1])
		return '?';
	return name_end[2];
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
