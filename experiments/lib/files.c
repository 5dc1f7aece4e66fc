/* SPDX-License-Identifier: MIT */
#include "files.h"

#include <sys/resource.h>

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
