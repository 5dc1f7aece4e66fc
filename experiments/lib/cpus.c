/* SPDX-License-Identifier: MIT */
/*
 * The CPUs a run may use, and the pinning of its threads to them.
 */
#include <err.h>
#include <pthread.h>
#include <sched.h>

#include "check.h"
#include "run.h"

static cpu_set_t allowed;

int run_cpus(void)
{
	return CPU_COUNT(&allowed);
}

void run_pin(int n)
{
	cpu_set_t one;
	int left = n < 0 ? 0 : n % CPU_COUNT(&allowed);

	CPU_ZERO(&one);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &allowed) && left-- == 0) {
			CPU_SET(cpu, &one);
			break;
		}
	check(pthread_setaffinity_np(pthread_self(), sizeof(one), n < 0 ? &allowed : &one),
	      "pthread_setaffinity_np");
}

void cpus_choose(const char *list)
{
	int error = list ? machine_cpus_parse(list, &allowed) : 0;

	if (error == EINVAL)
		errx(EXIT_USAGE, "--cpus: '%s' is not a list of CPUs such as 0-1,3", list);
	if (error == ENODEV)
		errx(EXIT_USAGE, "--cpus: %s has a CPU that this process may not use", list);
	check(error, "sched_getaffinity");
	if (list)
		check_fd(sched_setaffinity(0, sizeof(allowed), &allowed), "sched_setaffinity");
	else
		check_fd(sched_getaffinity(0, sizeof(allowed), &allowed), "sched_getaffinity");
}
