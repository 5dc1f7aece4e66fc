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
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "child.h"
#include "exp.h"
#include "judge.h"
#include "net.h"
#include "span.h"
#include "text.h"
#include "thread.h"

enum { QUEUED, RESET, TAKEN, TAKEN_NONBLOCK };

static const struct variant variants[] = {
	[QUEUED] = {"queued", "the connection is still there (control)"},
	[RESET] = {"reset", "its client has reset it"},
	[TAKEN] = {"taken", "another process has taken it (trap)"},
	[TAKEN_NONBLOCK] = {"taken-nonblock", "the same with O_NONBLOCK (cure)"},
	{0}};

static const char poll_is_past[] =
	"poll says what was so when it looked. Linux leaves a connection that was reset in the queue, where accept finds it; one that another process took is gone, and accept waits for the next. With O_NONBLOCK it says EAGAIN instead.";

static const struct claim claims[] = {
	{"poll-accept-blocks", "after poll said ready, accept does not block", "taken=queued",
	 HOLDS, .why = {[DEPENDS] = poll_is_past, [REFUTED] = poll_is_past}},
	{0}};

static const struct row_field fields[] = {
	{"blocked", "1: accept slept, and had not returned when the next client came", "blocked",
	 SHOW_NONZERO},
	{"accept_ns", "of the call", "accept|took"},
	{"accept", "how accept ended: ok or its error", "accept|gave", SHOW_TEXT, .text = true},
	{"recv_result", "bytes that recv gave of what was accepted, or its error number, negative"},
	{"accept_sleeps", "of its thread, during the call"},
	{"accept_errno", "0: it gave a connection"},
	{"not_ready", "1: poll did not say ready", .zero = true, .sham = "blind"},
	{"not_taken", "1: the other process did not take the connection; 0 where there is none",
	 .zero = true, .sham = "taken=queued"},
	{"free_blocked", "1: accept blocked with the connection in the queue, or under O_NONBLOCK",
	 .zero = true, .sham = "queued=taken,taken-nonblock=taken"},
	{0}};

static const struct bound bounds[] = {
	{"enough_trials", 3,
	 "what happens to the connection is certain, so accept blocks in each or in none"},
	{0}};

static int64_t late_ms = 20;

static const struct opt opts[] = {
	{'l', "late", "another client comes so long after accept has begun to sleep",
	 .num = &late_ms, .min = 5, .quick = 10, .max = 500, .unit = OPT_MS},
	{0}};

struct server {
	size_t variant;
	int listener, client;
	int rival;      /* a socket to the process that takes the connection; -1 = there is none */
	int done;       /* becomes readable when accept has returned */
	atomic_int tid; /* of who calls accept, once it is about to */
	atomic_bool returned;
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
	atomic_store(&s->tid, gettid());
	fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC);
	s->accept_error = fd < 0 ? errno : 0;
	s->accept_ns = span_now() - begin_ns;
	s->accept_sleeps += span_sleeps();
	atomic_store(&s->returned, true);
	if (fd >= 0) {
		ssize_t n = recv(fd, &byte, 1, MSG_DONTWAIT);

		s->recv_result = n < 0 ? -errno : n;
		close(fd);
	}
	if (write(s->done, &one, sizeof(one)) < 0)
		warn("eventfd");
	return NULL;
}

/* Whether accept has returned before the next client comes: it does once accept has slept so long. */
static bool returned_alone(const struct server *s)
{
	return !thread_await_sleep(&s->tid, &s->returned) ||
	       run_wait_fd(s->done, POLLIN, span_now() + late_ms * 1000000);
}

static void measure(struct run *run, size_t variant, size_t label)
{
	struct sockaddr_in where;
	struct server s = {.variant = variant,
			   .listener = net_listen(4, &where),
			   .rival = -1,
			   .done = check_fd(eventfd(0, EFD_CLOEXEC), "eventfd")};
	int pair[2] = {-1, -1};
	pid_t rival = -1;
	pthread_t thread;
	bool alone, blocked;
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
	blocked = !alone && s.accept_sleeps > 0;
	if (rival > 0) {
		close(s.rival);
		kill(rival, SIGKILL);
		check_fd(waitpid(rival, NULL, 0), "waitpid");
	}
	run_record(
		run,
		(struct field[]){
			{"accept_ns", s.accept_ns},
			{"accept_sleeps", s.accept_sleeps},
			{"accept", .text = text_errno((int)s.accept_error)},
			{"accept_errno", s.accept_error},
			{"recv_result", s.recv_result},
			{"blocked", blocked},
			{"not_ready", !s.poll_in || run_sham(run, "blind")},
			{"not_taken", (label == TAKEN || label == TAKEN_NONBLOCK) && !s.rival_took},
			{"free_blocked", (label == QUEUED || label == TAKEN_NONBLOCK) && blocked},
			{0}});
	if (s.client >= 0)
		net_reset(s.client);
	if (late >= 0)
		net_reset(late);
	close(s.done);
	close(s.listener);
}

/* --- judge --------------------------------------------------------------- */

static void judge(struct run *run)
{
	int64_t enough = (int64_t)run_bound(run, "enough_trials");
	struct share reset = run_nonzero(run, RESET, "blocked");
	struct share taken = run_nonzero(run, TAKEN, "blocked");

	run_judge(
		run, "poll-accept-blocks",
		by_case(never_happens(reset, enough), never_happens(taken, enough)),
		"accept blocked in {reset} trials whose client had reset the connection, and in {taken} where another process had taken it: {taken_ns}, until the next client came; with O_NONBLOCK it took {nonblock_ns}",
		number_share("reset", reset), number_share("taken", taken),
		number_real("taken_ns", run_median(run, TAKEN, "accept_ns")),
		number_real("nonblock_ns", run_median(run, TAKEN_NONBLOCK, "accept_ns")));
}

static const struct experiment about = {
	.name = "accept",
	.group = "polling",
	.order = 507,
	.summary = "Can accept block although poll has said that there is a connection?",
	.intro =
		"poll says that there is a connection; accept is called after that. The next client comes {late_ms} later.",
	.claims = claims,
	.fields = fields,
	.bounds = bounds,
	.opts = opts,
	.variants = variants,
	.trials = 20,
	.quick_trials = 3,
	.judge = judge,
};

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);

	while (run_next(run))
		measure(run, run_variant(run), run_label(run));
	return run_end(run);
}
