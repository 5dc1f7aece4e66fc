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

void files_make_room(int64_t n)
{
	int64_t allowed = files_allow(0);
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int last;

	if (fd < 0)
		return; /* none is free: whoever needs one will say so */
	last = fcntl(fd, F_DUPFD_CLOEXEC, (int)(n < allowed ? n : allowed) - 1);
	if (last >= 0)
		close(last);
	close(fd);
}

void files_open_standard(void)
{
	int fd;

	do
		fd = check_fd(open("/dev/null", O_RDWR), "/dev/null"); /* the lowest that is free */
	while (fd <= STDERR_FILENO);
	close(fd);
}
