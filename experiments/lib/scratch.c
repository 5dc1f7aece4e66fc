/* SPDX-License-Identifier: MIT */
#include "scratch.h"

#include <dirent.h>
#include <err.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static char folder[PATH_MAX];
static int lifeline; /* inherited by every process that is started; read as ended when all have */
static pid_t remover;

static void remove_folder(void)
{
	DIR *all = opendir(folder);
	const struct dirent *file;

	while (all && (file = readdir(all)))
		unlinkat(dirfd(all), file->d_name, 0); /* not those that are folders, . and .. */
	rmdir(folder);
}

void scratch_begin(void)
{
	const char *tmp = getenv("TMPDIR");
	int ends[2];

	snprintf(folder, sizeof(folder), "%s/stallrace-XXXXXX", tmp && *tmp ? tmp : "/tmp");
	if (!mkdtemp(folder) || setenv("TMPDIR", folder, 1) != 0)
		err(2, "%s", folder);
	check_fd(pipe(ends), "pipe");
	/* not child_fork(): it outlives us, and the signals that are blocked in us stay so */
	remover = check_fd(fork(), "fork");
	if (remover == 0) {
		char byte;

		close(ends[1]);
		while (read(ends[0], &byte, 1) > 0)
			;
		remove_folder();
		_exit(0);
	}
	close(ends[0]);
	lifeline = ends[1];
}

const char *scratch_path(const char *file)
{
	static char path[2 * PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", folder, file);
	return path;
}

void scratch_end(void)
{
	int status = 0;

	close(lifeline);
	if (waitpid(remover, &status, 0) == remover && status != 0)
		remove_folder(); /* somebody killed it */
}
