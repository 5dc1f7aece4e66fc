/* SPDX-License-Identifier: MIT */
/*
 * short_send - how much of its bytes does send take?
 *
 * One send of more than the buffers hold, then a loop for the rest (what Python calls sendall):
 *
 *	nonblock        a non-blocking socket: what fits;
 *	block           a blocking socket with a receiver: everything (the control);
 *	sndtimeo        a blocking socket without one, until SO_SNDTIMEO cuts it;
 *	signal          the same until a signal does;
 *	signal-restart  SA_RESTART does not help: some bytes were taken, and send says how many.
 *
 * From then on there is a receiver, and in the last two signals keep coming; the loop must get
 * every byte across.  What a signal does to a call that has done nothing yet is eintr.c's matter.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "exp.h"
#include "judge.h"
#include "net.h"
#include "pattern.h"
#include "span.h"
#include "text.h"
#include "thread.h"

enum { NONBLOCK, BLOCK, SNDTIMEO, SIGNAL, SIGNAL_RESTART, VARIANTS, PAGE = 16 << 10 };

static const struct variant variants[] = {
	[NONBLOCK] = {"nonblock", "send to a non-blocking socket"},
	[BLOCK] = {"block", "send to a blocking socket with a receiver (control)"},
	[SNDTIMEO] = {"sndtimeo", "send that SO_SNDTIMEO cuts"},
	[SIGNAL] = {"signal", "send that a signal cuts"},
	[SIGNAL_RESTART] = {"signal-restart", "send that a signal cuts, with SA_RESTART"},
	{0}};

static const struct claim claims[] = {
	{"tcp-send-short",
	 "send may take fewer bytes than given; sendall (a loop) sends everything", "*=block",
	 NOT_SEEN,
	 .why = {[HOLDS] =
			 "send returns what it has copied into the kernel. A signal must run its handler, so a call that waits comes back, and says how much it has copied by then."}},
	{0}};

static const struct row_field fields[] = {
	{"given_bytes", "to the first send"},
	{"result", "of the first send: bytes, or the error number, negative", "first send|took"},
	{"call_ns", "of the first send", "within"},
	{"calls", "of send in all", "sends"},
	{"short_calls", "that took a part", "of these|short"},
	{"interrupted_calls", "that failed with EINTR"},
	{"short_first", "1: the first send took a part; not of block", "first|short", SHOW_NONZERO},
	{"missing_bytes", "that the loop did not get across", .zero = true, .sham = "lose"},
	{"misplaced_bytes", "received at another place than sent", .zero = true,
	 .sham = "disorder"},
	{"elapsed_ns", "of the trial"},
	{0}};

static const struct bound bounds[] = {{"enough_loops", 5, "one of each kind of send"}, {0}};

static int64_t total = 1 << 20;
static int64_t buffers = 64 << 10;
static int64_t timeout_ms = 20;

static const struct opt opts[] = {
	{'n', "total", "what one send is given, more than the buffers hold", .num = &total,
	 .min = 512 << 10, .max = 1 << 28, .unit = OPT_BYTES},
	{'b', "buffers", "SO_SNDBUF and SO_RCVBUF to ask for", .num = &buffers, .min = 4096,
	 .max = 64 << 10, .unit = OPT_BYTES},
	{0, "timeout", "SO_SNDTIMEO of sndtimeo", .num = &timeout_ms, .min = 1, .max = 500,
	 .unit = OPT_MS},
	{0}};

static void handle(int number)
{
	(void)number;
}

/* --- the sender's thread --------------------------------------------------- */

struct sender {
	int fd;
	uint8_t *buffer;
	pthread_t thread;
	atomic_int tid;                    /* once it is about to send */
	atomic_bool returned;              /* the first send */
	int64_t begin_ns, call_ns, result; /* of the first send: bytes, or -errno */
	int64_t sent, calls, short_calls, interrupted_calls; /* of all sends together */
};

/* Sends the rest, as far as it is taken. */
static int64_t send_once(struct sender *s)
{
	int64_t rest = total - s->sent;
	ssize_t n = send(s->fd, s->buffer + s->sent, (size_t)rest, 0);

	s->calls++;
	if (n < 0) {
		s->interrupted_calls += errno == EINTR;
		return -errno;
	}
	s->short_calls += n < rest;
	s->sent += n;
	return n;
}

/* What a program has to do around send. */
static void *send_all(void *argument)
{
	struct sender *s = argument;
	int64_t result;

	s->begin_ns = span_now();
	atomic_store(&s->tid, gettid());
	s->result = send_once(s);
	s->call_ns = span_now() - s->begin_ns;
	atomic_store(&s->returned, true);
	for (result = s->result; s->sent < total && !run_stopped(); result = send_once(s))
		if (result == -EAGAIN)
			run_wait_fd(s->fd, POLLOUT, span_now() + 1000000000);
		else if (result < 0 && result != -EINTR)
			errx(EXIT_USAGE, "send: %s", text_errno((int)-result));
	shutdown(s->fd, SHUT_WR);
	return NULL;
}

/* --- one trial ------------------------------------------------------------- */

/* Receives until the end, with a signal to the sender after each page if asked for. */
static int64_t receive_all(int fd, const struct sender *s, bool signals, int64_t *misplaced)
{
	uint8_t page[PAGE];
	int64_t received = 0;
	ssize_t n;

	while ((n = recv(fd, page, PAGE, 0)) > 0) {
		*misplaced += (int64_t)pattern_misplaced(page, (size_t)n, (uint64_t)received);
		received += n;
		if (signals)
			pthread_kill(s->thread, SIGUSR1); /* which may have ended: no matter */
	}
	return received;
}

static void measure(struct run *run, size_t variant)
{
	struct net_pair fd = net_pair(NET_TCP, (struct net_ask){buffers, buffers, NULL});
	struct sender s = {.fd = fd.tx, .buffer = check_alloc(malloc((size_t)total))};
	struct sigaction action = {.sa_handler = handle,
				   .sa_flags = variant == SIGNAL_RESTART ? SA_RESTART : 0};
	int64_t misplaced = 0, received, patience_ns;

	pattern_fill(s.buffer, (size_t)total, 0);
	if (variant == NONBLOCK)
		check_fd(fcntl(fd.tx, F_SETFL, O_NONBLOCK), "O_NONBLOCK");
	if (variant == SNDTIMEO)
		net_set_timeout(fd.tx, SO_SNDTIMEO, timeout_ms);
	check_fd(sigaction(SIGUSR1, &action, NULL), "sigaction");
	check(pthread_create(&s.thread, NULL, send_all, &s), "pthread_create");
	if (variant >= SIGNAL && thread_await_sleep(&s.tid, &s.returned))
		pthread_kill(s.thread, SIGUSR1);
	patience_ns = span_now() + 800000000;
	while (variant != BLOCK && !atomic_load(&s.returned) && span_now() < patience_ns)
		run_sleep_until(span_now() + 250000);
	received = receive_all(fd.rx, &s, variant >= SIGNAL, &misplaced);
	check(pthread_join(s.thread, NULL), "pthread_join");
	received -= run_sham(run, "lose");
	run_record(run, (struct field[]){{"given_bytes", total},
					 {"result", s.result},
					 {"call_ns", s.call_ns},
					 {"calls", s.calls},
					 {"short_calls", s.short_calls},
					 {"interrupted_calls", s.interrupted_calls},
					 {"missing_bytes", total - received},
					 {"misplaced_bytes", misplaced},
					 {"elapsed_ns", span_now() - s.begin_ns},
					 {run_label(run) == BLOCK ? NULL : "short_first",
					  s.result >= 0 && s.result < total},
					 {0}});
	net_close(&fd);
	free(s.buffer);
}

/* --- judge --------------------------------------------------------------- */

static void judge(struct run *run)
{
	struct share whole = {0};
	struct share first = {0};

	for (size_t v = 0; v < VARIANTS; v++) {
		whole = share_add(whole, share_rest(run_nonzero(run, v, "missing_bytes")));
		if (v != BLOCK)
			first = share_add(first, run_nonzero(run, v, "short_first"));
	}
	run_judge(
		run, "tcp-send-short",
		all_of(always_happens(whole, (int64_t)run_bound(run, "enough_loops")),
		       can_happen(first)),
		"{first} sends that did not wait, timed out or were interrupted took a part of {total_bytes}, undisturbed blocking ones in {block}; the loop got every byte across in {whole} trials",
		number_share("first", first), number_int("total_bytes", total),
		number_share("block", run_nonzero(run, BLOCK, "short_calls")),
		number_share("whole", whole));
}

static const struct experiment about = {
	.name = "short_send",
	.group = "tcp",
	.order = 417,
	.summary = "How much of its bytes does send take?",
	.claims = claims,
	.fields = fields,
	.bounds = bounds,
	.opts = opts,
	.variants = variants,
	.trials = 6,
	.quick_trials = 1,
	.judge = judge,
};

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);

	pattern_disorder(run_sham(run, "disorder"));
	while (run_next(run))
		measure(run, run_variant(run));
	return run_end(run);
}
