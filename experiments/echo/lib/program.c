/* SPDX-License-Identifier: MIT */
#include "program.h"

#include <dirent.h>
#include <err.h>
#include <fcntl.h>
#include <libgen.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "child.h"
#include "exp.h"
#include "proc.h"
#include "span.h"
#include "text.h"

enum { MOST_PROCESSES = 65536 };

static int64_t files_limit; /* 0 = none */

void program_limit_files(int64_t n)
{
	files_limit = n;
}

/* Between fork and exec.  A byte in a transparent huge page is 2 MB more: no connection's memory. */
static void no_huge_pages(void)
{
	prctl(PR_SET_THP_DISABLE, 1UL, 0UL, 0UL, 0UL); /* fails where the kernel has none */
}

/* The same. */
static void limit_files(void)
{
	const struct rlimit limit = {(rlim_t)files_limit, (rlim_t)files_limit};

	if (files_limit > 0 && setrlimit(RLIMIT_NOFILE, &limit) != 0)
		_exit(127);
}

struct program program_start(const char *const argv[], int cpu)
{
	struct program program = {.name = argv[0]};
	int ends[2];

	check_fd(pipe2(ends, O_CLOEXEC), "pipe2");
	program.error = check_fd(memfd_create("stderr", MFD_CLOEXEC), "memfd_create");
#ifdef __SANITIZE_THREAD__
	/* processes that servers fork have threads; its second of sleep at the end is no server's */
	setenv("TSAN_OPTIONS", "die_after_fork=0:atexit_sleep_ms=0", 0);
#endif
	program.pid = child_fork();
	if (program.pid == 0) {
		int null = open("/dev/null", O_RDWR | O_CLOEXEC);

		setpgid(0,
			0); /* a terminal's signals are for us, and program_kill() for them all */
		run_pin(cpu);
		no_huge_pages();
		limit_files();
		dup2(null, STDIN_FILENO);
		dup2(ends[1], STDOUT_FILENO);
		dup2(program.error, STDERR_FILENO);
		signal(SIGPIPE, SIG_DFL);
		signal(SIGINT, SIG_DFL);              /* a background job of a shell's ignores it */
		execvp(argv[0], (char *const *)argv); /* which changes none of them */
		_exit(127);
	}
	setpgid(program.pid, program.pid); /* whoever comes first; it fails after its exec */
	close(ends[1]);
	program.out = check_alloc(fdopen(ends[0], "r"));
	return program;
}

int program_end(struct program *program, const char **said)
{
	int status = 0;

	while (waitpid(program->pid, &status, 0) < 0)
		if (errno != EINTR)
			err(EXIT_USAGE, "waitpid");
	if (said)
		*said = program_complaint(program);
	fclose(program->out);
	close(program->error);
	return status;
}

bool program_has_ended(const struct program *program)
{
	siginfo_t info = {0};

	if (waitid(P_PID, (id_t)program->pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0)
		err(EXIT_USAGE, "waitid");
	return info.si_pid != 0;
}

void program_kill(struct program *program)
{
	kill(-program->pid, SIGKILL);
	program_end(program, NULL);
}

const char *program_complaint(const struct program *program)
{
	static char said[4096];

	child_complaint(program->error, said, sizeof(said));
	return said;
}

const char *program_tool(const char *name, char path[PATH_MAX])
{
	char self[PATH_MAX] = "";

	check_fd((int)readlink("/proc/self/exe", self, sizeof(self) - 1), "/proc/self/exe");
	if (snprintf(path, PATH_MAX, "%s/%s", dirname(self), name) >= PATH_MAX ||
	    access(path, X_OK) != 0)
		errx(EXIT_USAGE, "%s is not there: make builds it", path);
	return path;
}

/* --- /proc --------------------------------------------------------------- */

/* Calls `use` with the folder of each thread; until it says true. */
static bool each_thread(pid_t pid, bool (*use)(const char *folder, void *argument), void *argument)
{
	const char *folder = text_format("/proc/%d/task", pid);
	DIR *threads = opendir(folder);
	const struct dirent *thread;
	bool found = false;

	while (threads && !found &&
	       (thread = readdir(threads)) != NULL) { /* NOLINT(concurrency-mt-unsafe) */
		char path[PATH_MAX];

		if (*thread->d_name == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", folder, thread->d_name);
		found = use(path, argument);
	}
	if (threads)
		closedir(threads);
	return found;
}

/* Opens a file of a thread's folder; NULL if it has gone. */
static FILE *open_in(const char *folder, const char *file)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", folder, file);
	return fopen(path, "re");
}

struct list {
	pid_t *pids;
	size_t n, room;
};

static bool add_children(const char *folder, void *argument)
{
	struct list *list = argument;
	FILE *file = open_in(folder, "children");
	int child;

	/* NOLINTNEXTLINE(cert-err34-c): the kernel writes numbers */
	while (file && list->n < list->room && fscanf(file, "%d", &child) == 1)
		list->pids[list->n++] = child;
	if (file)
		fclose(file);
	return false;
}

size_t program_family(pid_t pid, pid_t *family, size_t room)
{
	struct list list = {family, 1, room};

	family[0] = pid;
	for (size_t i = 0; i < list.n; i++)
		each_thread(family[i], add_children, &list);
	return list.n;
}

/* The first line of such a file; "" if it has gone or may not be read. */
static void read_line(const char *folder, const char *name, char line[512])
{
	FILE *file = open_in(folder, name);

	*line = '\0';
	if (file && !fgets(line, 512, file))
		*line = '\0';
	if (file)
		fclose(file);
}

static bool add_sleeps(const char *folder, void *argument)
{
	int64_t *sleeps = argument;

	*sleeps += proc_number(text_format("%s/status", folder), "voluntary_ctxt_switches:", 0);
	return false;
}

/*
 * D waits for the kernel, so it will soon run.  A thread that lost its CPU on its way to sleep, or back,
 * is S as well (proc_pid_stat(5)): only proc_pid_syscall(5) says that it is "running".
 */
static bool is_awake(const char *folder, void *argument)
{
	char line[512];
	const char *end;

	(void)argument;
	read_line(folder, "stat", line);
	end = strrchr(line, ')'); /* its name; its state follows */
	if (!end || !end[1] || end[2] == 'Z')
		return false;
	if (end[2] == 'R' || end[2] == 'D')
		return true;
	read_line(folder, "syscall", line);
	return strncmp(line, "running", strlen("running")) == 0;
}

int64_t program_cpu_ns(pid_t pid)
{
	clockid_t clock;

	return clock_getcpuclockid(pid, &clock) == 0 ? clock_ns(clock) : 0;
}

int64_t program_sleeps(pid_t pid)
{
	int64_t sleeps = 0;

	each_thread(pid, add_sleeps, &sleeps);
	return sleeps;
}

int64_t program_asleep(pid_t pid)
{
	static pid_t family[MOST_PROCESSES];
	size_t n = program_family(pid, family, MOST_PROCESSES);
	int64_t all = (int64_t)n;

	for (size_t i = 0; i < n; i++) {
		if (each_thread(family[i], is_awake, NULL))
			return -1;
		all += program_sleeps(family[i]);
	}
	return all;
}

int64_t program_threads(pid_t pid)
{
	static pid_t family[MOST_PROCESSES];
	size_t n = program_family(pid, family, MOST_PROCESSES);
	int64_t threads = 0;

	for (size_t i = 0; i < n; i++)
		threads += proc_number(text_format("/proc/%d/status", family[i]), "Threads:", 0);
	return threads;
}

struct calling {
	long call;
	int64_t threads;
};

static bool add_calling(const char *folder, void *argument)
{
	struct calling *calling = argument;
	char line[512];
	char *end;

	read_line(folder, "syscall", line); /* "running", or a number first */
	calling->threads += strtol(line, &end, 10) == calling->call && end != line;
	return false;
}

int64_t program_threads_in(pid_t pid, long call)
{
	static pid_t family[MOST_PROCESSES];
	size_t n = program_family(pid, family, MOST_PROCESSES);
	struct calling calling = {.call = call};

	for (size_t i = 0; i < n; i++)
		each_thread(family[i], add_calling, &calling);
	return calling.threads;
}

/* The flags of a descriptor, as of F_GETFL; 0 if it has gone. */
static int flags_of(pid_t pid, const char *fd)
{
	FILE *file = fopen(text_format("/proc/%d/fdinfo/%s", pid, fd), "re");
	unsigned int flags = 0;

	/* NOLINTNEXTLINE(cert-err34-c): proc_pid_fdinfo(5) */
	if (file && fscanf(file, "pos: %*d flags: %o", &flags) != 1)
		flags = 0;
	if (file)
		fclose(file);
	return (int)flags;
}

struct program_sockets program_sockets(pid_t pid)
{
	static pid_t family[MOST_PROCESSES];
	size_t n = program_family(pid, family, MOST_PROCESSES);
	struct program_sockets found = {0};

	for (size_t i = 0; i < n; i++) {
		DIR *all = opendir(text_format("/proc/%d/fd", family[i]));
		const struct dirent *fd;
		char target[16] = "";

		while (all && (fd = readdir(all))) { /* NOLINT(concurrency-mt-unsafe) */
			if (readlinkat(dirfd(all), fd->d_name, target, sizeof(target)) < 8 ||
			    memcmp(target, "socket:[", 8) != 0)
				continue;
			found.all++;
			found.nonblocking += (flags_of(family[i], fd->d_name) & O_NONBLOCK) != 0;
		}
		if (all)
			closedir(all);
	}
	return found;
}
