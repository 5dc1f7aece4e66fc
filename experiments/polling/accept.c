/* SPDX-License-Identifier: MIT */
/*
 * accept - after poll has said that there is a connection, can accept block?
 *
 * Something happens to the connection between the two calls:
 *
 *	queued          nothing (control)
 *	reset           its client goes, with a reset
 *	taken           another process, which poll has told the same, takes it
 *	taken-nonblock  the same with O_NONBLOCK on the listener (cure)
 *
 * Another client comes later, so that a blocked accept goes on: until then the server would serve
 * nobody else either.  Whether accept blocked is the thread's own count of sleeps.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "child.h"
#include "exp.h"
#include "old.h"
#include "net.h"
#include "span.h"
#include "text.h"

enum { QUEUED, RESET, TAKEN, TAKEN_NONBLOCK, VARIANTS };

static const struct variant variants[] = {
	[QUEUED] = {"queued", "the connection is still there (control)"},
	[RESET] = {"reset", "its client has reset it"},
	[TAKEN] = {"taken", "another process has taken it (trap)"},
	[TAKEN_NONBLOCK] = {"taken-nonblock", "the same with O_NONBLOCK (cure)"},
	{0}};

static const struct claim claims[] = {
	{"poll-accept-blocks", "after poll said ready, accept does not block"}, {0}};

static int64_t late_ms = 20;

static const struct opt opts[] = {
	{'l', "late", "another client comes so long after poll has said ready", .num = &late_ms,
	 .min = 5, .quick = 10, .max = 500, .unit = OPT_MS},
	{0}};

static const struct experiment about = {
	.name = "accept",
	.group = "polling",
	.summary = "Can accept block although poll has said that there is a connection?",
	.claims = claims,
	.opts = opts,
	.variants = variants,
	.trials = 20,
	.quick_trials = 3,
};

struct server {
	size_t variant;
	int listener, client;
	int rival; /* a socket to the process that takes the connection; -1 = there is none */
	int done;  /* becomes readable when accept has returned */
	int64_t poll_in, rival_took;
	int64_t accept_ns, accept_sleeps, accept_error;
	int64_t recv_result; /* bytes, or the error number, negative */
};

static int64_t poll_in(int fd, int timeout_ms)
{
	struct pollfd asked = {.fd = fd, .events = POLLIN};

	return poll(&asked, 1, timeout_ms) == 1 && (asked.revents & POLLIN) != 0;
}

/* The other process: when it is told to, takes what poll has told it of, too, and says so. */
static void take(int listener, int self)
{
	uint8_t took = 0;

	if (recv(self, &took, 1, 0) != 1)
		return;
	if (poll_in(listener, 0) && accept4(listener, NULL, NULL, SOCK_CLOEXEC) >= 0)
		took = 1;
	else
		took = 0;
	if (send(self, &took, 1, MSG_NOSIGNAL) == 1)
		recv(self, &took, 1, 0); /* keeps the connection until the end */
}

static void happen(struct server *s)
{
	uint8_t took = 0;

	if (s->variant == RESET) {
		net_reset(s->client);
		s->client = -1;
		run_sleep_until(span_now() + 1000000); /* it has arrived by then */
	} else if (s->rival >= 0) {
		if (send(s->rival, "", 1, MSG_NOSIGNAL) == 1 && recv(s->rival, &took, 1, 0) == 1)
			s->rival_took = took;
	}
}

static void *poll_and_accept(void *argument)
{
	struct server *s = argument;
	const uint64_t one = 1;
	int64_t begin_ns;
	char byte;
	int fd;

	s->poll_in = poll_in(s->listener, 1000);
	happen(s);
	s->accept_sleeps = -span_sleeps();
	begin_ns = span_now();
	fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC);
	s->accept_error = fd < 0 ? errno : 0;
	s->accept_ns = span_now() - begin_ns;
	s->accept_sleeps += span_sleeps();
	if (fd >= 0) {
		ssize_t n = recv(fd, &byte, 1, MSG_DONTWAIT);

		s->recv_result = n < 0 ? -errno : n;
		close(fd);
	}
	if (write(s->done, &one, sizeof(one)) < 0)
		warn("eventfd");
	return NULL;
}

/* Whether accept has returned before the next client comes. */
static bool returned_alone(const struct server *s)
{
	return run_wait_fd(s->done, POLLIN, span_now() + late_ms * 1000000);
}

static void measure(struct run *run, size_t variant)
{
	struct sockaddr_in where;
	struct server s = {.variant = variant,
			   .listener = net_listen(4, &where),
			   .rival = -1,
			   .done = check_fd(eventfd(0, EFD_CLOEXEC), "eventfd")};
	int pair[2] = {-1, -1};
	pid_t rival = -1;
	pthread_t thread;
	bool alone;
	int late = -1;

	if (variant == TAKEN_NONBLOCK)
		check_fd(fcntl(s.listener, F_SETFL, O_NONBLOCK), "O_NONBLOCK");
	if (variant == TAKEN || variant == TAKEN_NONBLOCK) {
		check_fd(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), "socketpair");
		rival = child_fork();
		if (rival == 0) {
			close(pair[0]);
			take(s.listener, pair[1]);
			_exit(0);
		}
		close(pair[1]);
		s.rival = pair[0];
	}
	s.client = net_connect(&where);
	check(pthread_create(&thread, NULL, poll_and_accept, &s), "pthread_create");
	alone = returned_alone(&s);
	if (!alone)
		late = net_connect(&where);
	check(pthread_join(thread, NULL), "pthread_join");
	if (rival > 0) {
		close(s.rival);
		kill(rival, SIGKILL);
		check_fd(waitpid(rival, NULL, 0), "waitpid");
	}
	run_record(run, (struct field[]){{"poll_in", s.poll_in},
					 {"rival_took", s.rival_took},
					 {"accept_ns", s.accept_ns},
					 {"accept_sleeps", s.accept_sleeps},
					 {"accept", .text = text_errno((int)s.accept_error)},
					 {"accept_errno", s.accept_error},
					 {"recv_result", s.recv_result},
					 {"blocked", !alone && s.accept_sleeps > 0},
					 {0}});
	if (s.client >= 0)
		net_reset(s.client);
	if (late >= 0)
		net_reset(late);
	close(s.done);
	close(s.listener);
}

/* --- report -------------------------------------------------------------- */

static const char *got(struct run *run, size_t v)
{
	int64_t error = (int64_t)run_median(run, v, "accept_errno");
	int64_t result = (int64_t)run_median(run, v, "recv_result");

	if (error)
		return text_errno((int)error);
	return text_format("a socket; recv: %s",
			   result >= 0 ? text_bytes(result) : text_errno((int)-result));
}

static void print_table(struct run *run)
{
	FILE *out = run_out(run);

	run_say(run,
		"Poll says that there is a connection; accept is called after that. The next "
		"client comes %s later.",
		text_time((double)late_ms * 1e6));
	fprintf(out, "\n  %-14s %6s %12s %12s  %s\n", "variant", "poll", "blocked", "accept took",
		"accept gave");
	for (size_t v = QUEUED; v <= TAKEN_NONBLOCK; v++) {
		struct values blocked = run_values(run, v, "blocked");

		if (run_selected(run, v))
			fprintf(out, "  %-14s %6s %12s %12s  %s\n", variants[v].name,
				run_median(run, v, "poll_in") > 0 ? "ready" : "no",
				text_format("%zu of %zu", stats_nonzero(blocked), blocked.n),
				text_time(run_median(run, v, "accept_ns")), got(run, v));
	}
	fputs("\n", out);
}

/* In how many trials accept slept though poll had said ready. */
static size_t blocked_in(struct run *run, size_t v)
{
	return stats_nonzero(run_values(run, v, "blocked"));
}

static void control(struct run *run)
{
	for (size_t v = QUEUED; v <= TAKEN_NONBLOCK; v++) {
		size_t n = run_values(run, v, "poll_in").n;
		size_t ready = stats_nonzero(run_values(run, v, "poll_in"));
		size_t took = stats_nonzero(run_values(run, v, "rival_took"));

		old_control(run, ready == n, "%s: poll said ready in %zu of %zu trials",
			    variants[v].name, ready, n);
		old_control(run, v < TAKEN || took == n,
			    "%s: the other process took it in %zu of %zu trials", variants[v].name,
			    took, n);
	}
	old_control(run,
		    blocked_in(run, QUEUED) == 0 &&
			    stats_nonzero(run_values(run, QUEUED, "accept_errno")) == 0,
		    "queued: accept blocked in %zu trials, failed in %zu", blocked_in(run, QUEUED),
		    stats_nonzero(run_values(run, QUEUED, "accept_errno")));
	old_control(run, blocked_in(run, TAKEN_NONBLOCK) == 0,
		    "taken-nonblock: accept blocked in %zu trials",
		    blocked_in(run, TAKEN_NONBLOCK));
}

/* "reset: blocked in 0 of 8, after 3.20 us a socket; recv: ECONNRESET. taken: ..." */
static const char *all_words(struct run *run)
{
	const char *all = "";

	for (size_t v = RESET; v <= TAKEN_NONBLOCK; v++) {
		struct values blocked = run_values(run, v, "blocked");

		if (blocked.n)
			all = text_format("%s%s%s: blocked in %zu of %zu, after %s %s", all,
					  *all ? ". " : "", variants[v].name,
					  stats_nonzero(blocked), blocked.n,
					  text_time(run_median(run, v, "accept_ns")), got(run, v));
	}
	return all;
}

static void judge(struct run *run)
{
	size_t reset = blocked_in(run, RESET);
	size_t taken = blocked_in(run, TAKEN);
	size_t resets = run_values(run, RESET, "blocked").n;
	size_t takes = run_values(run, TAKEN, "blocked").n;

	control(run);
	if (resets + takes == 0)
		return;
	old_verdict(run, "poll-accept-blocks",
		    reset + taken == 0         ? HOLDS
		    : reset == 0 && resets > 0 ? DEPENDS
					       : REFUTED,
		    (struct field[]){{"reset_blocked_trials", (int64_t)reset},
				     {"reset_trials", (int64_t)resets},
				     {"taken_blocked_trials", (int64_t)taken},
				     {"taken_trials", (int64_t)takes},
				     {0}},
		    "%s", all_words(run));
}

static void report(struct run *run)
{
	print_table(run);
	judge(run);
	old_why(run,
		"poll says what was so when it looked. Linux leaves a connection that was reset in "
		"the queue, where accept finds it; one that another process took is gone, and "
		"accept waits for the next. With O_NONBLOCK it says EAGAIN instead.");
}

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);

	while (run_next(run))
		measure(run, run_variant(run));
	return old_end(run, report);
}
