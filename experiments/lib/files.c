/* SPDX-License-Identifier: MIT */
#include "files.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "check.h"

int64_t files_allow(int64_t n)
{
	struct rlimit limit;
	struct rlimit more;

	check_fd(getrlimit(RLIMIT_NOFILE, &limit), "getrlimit");
	more = limit;
	more.rlim_cur = limit.rlim_max < (rlim_t)n ? limit.rlim_max : (rlim_t)n;
	if (more.rlim_cur > limit.rlim_cur && setrlimit(RLIMIT_NOFILE, &more) == 0)
		limit = more;
	return (int64_t)limit.rlim_cur;
}

void files_open_standard(void)
{
	int fd;

	do
		fd = check_fd(open("/dev/null", O_RDWR), "/dev/null"); /* the lowest that is free */
	while (fd <= STDERR_FILENO);
	close(fd);
}
