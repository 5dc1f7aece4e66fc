/* SPDX-License-Identifier: MIT */
/*
 * Signals are blocked everywhere and waited for by one thread, so that no call of an experiment is
 * interrupted by surprise, and a trial that does not end by itself is ended all the same.
 */
#include <err.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "run.h"
#include "span.h"

enum { GRACE_MS = 1000 }; /* what a trial may still take after a signal */

static _Atomic int stop_signal;
static int stop_fd = -1;
static pthread_t watcher;
static sigset_t watched;
static void (*on_stop)(const char *signal_name);

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

/* Waits for a signal, asks the trial to end, and ends the run itself if it does not. */
static void *watch(void *unused)
{
	const uint64_t one = 1;
	int number;

	(void)unused;
	check(sigwait(&watched, &number), "sigwait");
	if (number == SIGRTMAX)
		return NULL;
	atomic_store(&stop_signal, number);
	if (write(stop_fd, &one, sizeof(one)) < 0)
		warn("eventfd");
	poll(NULL, 0, GRACE_MS);
	die_later(number);
	on_stop(stop_name());
	stop_die();
}

void stop_watch(void (*end)(const char *signal_name))
{
	static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};

	on_stop = end;
	sigemptyset(&watched);
	sigaddset(&watched, SIGRTMAX); /* ours, from stop_unwatch() */
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
	check(pthread_kill(watcher, SIGRTMAX), "pthread_kill");
	check(pthread_join(watcher, NULL), "pthread_join");
	close(stop_fd);
}
