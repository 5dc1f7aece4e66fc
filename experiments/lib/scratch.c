/* SPDX-License-Identifier: MIT */
#include "scratch.h"

#include <dirent.h>
#include <err.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "lifeline.h"

static char folder[PATH_MAX];
static struct lifeline line;

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

	snprintf(folder, sizeof(folder), "%s/stallrace-XXXXXX", tmp && *tmp ? tmp : "/tmp");
	if (!mkdtemp(folder) || setenv("TMPDIR", folder, 1) != 0)
		err(2, "%s", folder);
	lifeline_begin(&line, remove_folder);
}

const char *scratch_path(const char *file)
{
	static char path[2 * PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", folder, file);
	return path;
}

void scratch_end(void)
{
	lifeline_end(&line);
}
