/* SPDX-License-Identifier: MIT */
/*
 * Signals are blocked everywhere and waited for by one thread, so that no call of an experiment is
 * interrupted by surprise, and a trial that does not end by itself is ended all the same: a second
 * after a signal, or when its limit is over.
 */
#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "disturbance.h"
#include "run.h"
#include "span.h"

enum { GRACE_MS = 1000 }; /* what a trial may still take after a signal */

static _Atomic int stop_signal;
static int stop_fd = -1;
static pthread_t watcher;
static sigset_t watched;
static void (*on_stop)(const char *interrupted);
static _Atomic int64_t limit_s = INT64_MAX;
static _Atomic int64_t limit_left_s = INT64_MAX; /* counted down by the watcher */
static const char *_Atomic limited;

bool run_stopped(void)
{
	return atomic_load(&stop_signal) != 0;
}

int run_stop_fd(void)
{
	return stop_fd;
}

bool run_sleep_until(int64_t deadline_ns)
{
	struct pollfd stop = {.fd = stop_fd, .events = POLLIN};

	for (;;) {
		int64_t left = deadline_ns - span_now();
		struct timespec timeout = {left / 1000000000, left % 1000000000};

		if (run_stopped())
			return false;
		if (left <= 0)
			return true;
		ppoll(&stop, 1, &timeout, NULL);
	}
}

bool run_wait_fd(int fd, short events, int64_t deadline_ns)
{
	struct pollfd fds[] = {{fd, events, 0}, {stop_fd, POLLIN, 0}}; /* -1: before a run */

	for (;;) {
		int64_t left = deadline_ns - span_now();
		struct timespec timeout = {left / 1000000000, left % 1000000000};

		if (left <= 0 || run_stopped())
			return false;
		if (ppoll(fds, 2, &timeout, NULL) < 0 && errno != EINTR)
			err(EXIT_USAGE, "poll");
		if (!run_stopped() && fds[0].revents)
			return true;
	}
}

const char *stop_name(void)
{
	switch (atomic_load(&stop_signal)) {
	case 0:
		return NULL;
	case SIGINT:
		return "SIGINT";
	case SIGTERM:
		return "SIGTERM";
	default:
		return "SIGHUP";
	}
}

_Noreturn void stop_die(void)
{
	int number = atomic_load(&stop_signal);
	sigset_t one;

	signal(number, SIG_DFL);
	sigemptyset(&one);
	sigaddset(&one, number);
	pthread_sigmask(SIG_UNBLOCK, &one, NULL);
	raise(number);
	_exit(128 + number); /* not reached: the default of each watched signal is to end us */
}

/*
 * Keeping the rows may block, on a pipe that nobody reads: then the signal comes again after a second,
 * and this time it ends the process.
 */
static void die_later(int number)
{
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = number};
	struct itimerspec once = {.it_value.tv_sec = 1};
	sigset_t one;
	timer_t timer;

	signal(number, SIG_DFL);
	sigemptyset(&one);
	sigaddset(&one, number);
	check_fd(timer_create(CLOCK_MONOTONIC, &event, &timer), "timer_create");
	check_fd(timer_settime(timer, 0, &once, NULL), "timer_settime");
	check(pthread_sigmask(SIG_UNBLOCK, &one, NULL), "pthread_sigmask");
}

/* --- a trial that hangs -------------------------------------------------- */

/* The calls that a thread of an experiment may wait in. */
static const char *call_name(long number)
{
	static const struct {
		long number;
		const char *name;
	} calls[] = {{SYS_futex, "futex (a lock, a join, a condition)"},
		     {SYS_recvfrom, "recv"},
		     {SYS_recvmsg, "recvmsg"},
		     {SYS_sendto, "send"},
		     {SYS_sendmsg, "sendmsg"},
		     {SYS_read, "read"},
		     {SYS_write, "write"},
		     {SYS_writev, "writev"},
		     {SYS_accept, "accept"},
		     {SYS_accept4, "accept"},
		     {SYS_connect, "connect"},
		     {SYS_ppoll, "poll"},
		     {SYS_pselect6, "select"},
		     {SYS_epoll_pwait, "epoll_wait"},
		     {SYS_wait4, "waitpid"},
		     {SYS_waitid, "waitid"},
		     {SYS_clock_nanosleep, "a sleep"},
#ifdef SYS_poll
		     {SYS_poll, "poll"},
		     {SYS_select, "select"},
		     {SYS_epoll_wait, "epoll_wait"},
#endif
		     {SYS_io_uring_enter, "io_uring_enter"}};

	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		if (calls[i].number == number)
			return calls[i].name;
	return NULL;
}

/* Where a thread is: "in recv", "in system call 7", "running"; empty if it has ended. */
struct place {
	char text[64];
	int threads;
};

static void find_place(const char *task, struct place *place)
{
	char path[64];
	char line[64] = "";
	long number;
	const char *name;
	FILE *file;
	char *end;

	*place = (struct place){.threads = 1};
	snprintf(path, sizeof(path), "/proc/self/task/%.16s/syscall", task);
	file = fopen(path, "re");
	if (!file)
		return;
	if (!fgets(line, sizeof(line), file))
		*line = '\0';
	fclose(file);
	number = strtol(line, &end, 10);
	name = end == line ? NULL : call_name(number);
	if (name)
		snprintf(place->text, sizeof(place->text), "in %s", name);
	else if (end != line)
		snprintf(place->text, sizeof(place->text), "in system call %ld", number);
	else
		snprintf(place->text, sizeof(place->text), "running");
}

/* How many threads but this one are where: "; 2 threads in send; 1 thread in poll". */
static void tell_places(FILE *out)
{
	struct place places[16];
	size_t n = 0;
	char self[16];
	DIR *tasks = opendir("/proc/self/task");
	const struct dirent *task;

	snprintf(self, sizeof(self), "%d", (int)gettid());
	while (tasks && (task = readdir(tasks)) != NULL) { /* NOLINT(concurrency-mt-unsafe) */
		struct place here;
		size_t i = 0;

		if (*task->d_name == '.' || strcmp(task->d_name, self) == 0)
			continue;
		find_place(task->d_name, &here);
		while (i < n && strcmp(places[i].text, here.text) != 0)
			i++;
		if (i < n)
			places[i].threads++;
		else if (*here.text && n < sizeof(places) / sizeof(places[0]))
			places[n++] = here;
	}
	for (size_t i = 0; i < n; i++)
		fprintf(out, "; %d thread%s %s", places[i].threads,
			places[i].threads > 1 ? "s" : "", places[i].text);
}

static _Noreturn void end_hung(void)
{
	char *where = NULL;
	size_t size;
	FILE *out = open_memstream(&where, &size);

	if (out) {
		tell_places(out);
		fclose(out);
	}
	on_stop("hung");
	warnx("hung: %s took longer than its limit%s", atomic_load(&limited), where ? where : "");
	_exit(EXIT_USAGE);
}

void stop_limit(int64_t seconds, const char *what)
{
	atomic_store(&limited, what);
	atomic_store(&limit_s, seconds);
	stop_progress();
}

void stop_progress(void)
{
	atomic_store(&limit_left_s, atomic_load(&limit_s));
}

/*
 * Waits for a signal, and counts the seconds of the limit: such in which this process ran, so that a
 * stopped one has not hung.  0 when the limit is over.
 */
static int wait_for_signal(void)
{
	static const struct timespec second = {.tv_sec = 1};

	for (;;) {
		int number = sigtimedwait(&watched, NULL, &second);

		if (number == SIGCONT)
			disturbance_stopped();
		else if (number > 0)
			return number;
		else if (errno == EAGAIN && atomic_fetch_sub(&limit_left_s, 1) <= 0)
			return 0;
	}
}

/* Waits for a signal, asks the trial to end, and ends the run itself if it does not. */
static void *watch(void *unused)
{
	const uint64_t one = 1;
	int number = wait_for_signal();

	(void)unused;
	if (number == SIGRTMIN)
		return NULL;
	if (number == 0)
		end_hung();
	atomic_store(&stop_signal, number);
	if (write(stop_fd, &one, sizeof(one)) < 0)
		warn("eventfd");
	poll(NULL, 0, GRACE_MS);
	die_later(number);
	on_stop(stop_name());
	stop_die();
}

void stop_watch(void (*end)(const char *interrupted))
{
	static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};

	on_stop = end;
	sigemptyset(&watched);
	sigaddset(&watched, SIGRTMIN); /* ours, from stop_unwatch() */
	sigaddset(&watched,
		  SIGCONT); /* we were stopped, and go on; blocking it does not hinder that */
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		struct sigaction old;

		/* what our parent ignores (nohup, a job in the background) stays ignored */
		if (sigaction(numbers[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
			sigaddset(&watched, numbers[i]);
	}
	signal(SIGPIPE, SIG_IGN);
	stop_fd = check_fd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd");
	check(pthread_sigmask(SIG_BLOCK, &watched, NULL), "pthread_sigmask");
	check(pthread_create(&watcher, NULL, watch, NULL), "pthread_create");
}

void stop_unwatch(void)
{
	check(pthread_kill(watcher, SIGRTMIN), "pthread_kill");
	check(pthread_join(watcher, NULL), "pthread_join");
	close(stop_fd);
}
