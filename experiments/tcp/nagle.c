/* SPDX-License-Identifier: MIT */
/*
 * nagle - a request that is written in two parts, and answered when both are there.
 *
 * Nagle's algorithm holds a small second segment back until the first one is acknowledged; the
 * reader, who has nothing to say before it has both parts, delays that acknowledgement.  Each waits
 * for the other until the reader's timer runs out.  How long that timer is is measured here, not
 * assumed: "ack" writes one part that nobody answers and waits until it is acknowledged.
 *
 *	plain       two writes
 *	nodelay     the writer does not hold back (TCP_NODELAY)
 *	quickack    the reader does not delay (TCP_QUICKACK, set again before each read)
 *	writev      both parts in one call
 *	cork, more  the writer says that more will come (TCP_CORK, MSG_MORE)
 *	write-read  each part is answered: two writes, but none before an answer (control)
 */
#include <err.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "check.h"
#include "exp.h"
#include "judge.h"
#include "net.h"
#include "pattern.h"
#include "peer.h"
#include "span.h"
#include "tcpinfo.h"

enum { PLAIN, NODELAY, QUICKACK, WRITEV, CORK, MORE, WRITE_READ, ACK, VARIANTS };

static const struct variant variants[] = {
	[PLAIN] = {"plain", "write, write, read"},
	[NODELAY] = {"nodelay", "TCP_NODELAY at the writer"},
	[QUICKACK] = {"quickack", "TCP_QUICKACK at the reader, before each read"},
	[WRITEV] = {"writev", "both parts in one writev"},
	[CORK] = {"cork", "TCP_CORK around the two writes"},
	[MORE] = {"more", "MSG_MORE at the first one"},
	[WRITE_READ] = {"write-read", "write, read, write, read (control)"},
	[ACK] = {"ack", "one write that is not answered: when is it acknowledged?"},
	{0}};

static const struct claim claims[] = {
	{"tcp-nagle", "write, write, read stalls for about 40 ms, the delayed acknowledgement",
	 "plain=nodelay", NOT_SEEN,
	 .why = {[HOLDS] =
			 "Nagle's algorithm holds the second part back until the first one is acknowledged; the reader delays that until it has something to send, which it has not before both parts are there. Both wait until the delayed acknowledgement's timer runs out."}},
	{0}};

static const struct control controls[] = {
	{"dialogue-does-not-stall", "write, read, write, read does not stall", "write-read=plain"},
	{0}};

static const struct row_field fields[] = {
	{"exchange", "its number within the trial"},
	{"stalled", "1: waited_ns are stalled_ns or more", "stalled", SHOW_NONZERO},
	{"waited_ns", "of latency_ns, what its round trips do not take"},
	{"latency_ns", "from the first write to the whole answer", "p50"},
	{"latency_ns", .column = "p99", .show = SHOW_P99},
	{"gap_ns", "between the arrival of the two parts", "between|parts"},
	{"acks", "acknowledgements without data that the server sent meanwhile",
	 "ACKs without|data, each", SHOW_SUM, "exchanges"},
	{"exchanges", "1"},
	{"misplaced_bytes", "bytes of requests that arrived changed", .zero = true,
	 .sham = "corrupt"},
	{"ack_ns", "from a write that nobody answers to its acknowledgement, less a round trip",
	 "delayed|ACK"},
	{"round_trip_ns", "the shortest of the connection, by TCP_INFO"},
	{0}};

static const struct bound bounds[] = {
	{"stalled_ns", 20e6, "half of the shortest delayed ACK of Linux (TCP_DELACK_MIN, 40 ms)"},
	{"usual_share", 0.5, "a claim of what happens is one of most exchanges"},
	{"delayed_low_ns", 30e6, "about 40 ms: a quarter less"},
	{"delayed_high_ns", 60e6, "about 40 ms: half more, for a tick of 4 or 10 ms and a wake-up"},
	{0}};

static int64_t exchanges = 100;
static int64_t time_ms = 500;
static int64_t part = 100;

static const struct opt opts[] = {
	{'n', "exchanges", "of a trial, at most", .num = &exchanges, .min = 2, .max = 100000},
	{'m', "time", "a trial ends with the exchange after it", .num = &time_ms, .min = 100,
	 .quick = 400, .max = 60000, .unit = OPT_MS},
	{'s', "part", "size of a part, and of an answer", .num = &part, .min = 1, .max = 1024,
	 .unit = OPT_BYTES},
	{0}};

/* What the server saw of an exchange. */
struct answered {
	int64_t gap_ns; /* between the arrival of the two parts */
	int64_t acks;   /* that it sent without data until it answered */
};

/* One trial. */
struct talk {
	size_t variant;
	int fd;           /* the client's */
	int64_t *latency; /* of each exchange */
	int64_t done;
	bool corrupts; /* a sham */
};

static struct peer *far;

/* Reads exactly so many bytes; false at the end of the stream. */
static bool read_whole(int fd, uint8_t *buffer, size_t length)
{
	ssize_t n = recv(fd, buffer, length, MSG_WAITALL);

	if (n < 0)
		peer_failed("recv");
	return (size_t)n == length;
}

static void write_whole(int fd, const uint8_t *buffer, int flags)
{
	if (send(fd, buffer, (size_t)part, flags) != part)
		peer_failed("send");
}

/* --- the client ---------------------------------------------------------- */

static void exchange(const struct talk *t, uint8_t *request, uint8_t *answer)
{
	struct iovec both[] = {{request, (size_t)part}, {request + part, (size_t)part}};
	int fd = t->fd;

	switch (t->variant) {
	case WRITEV:
		if (writev(fd, both, 2) != 2 * part)
			peer_failed("writev");
		break;
	case CORK:
		net_set(fd, IPPROTO_TCP, TCP_CORK, 1);
		write_whole(fd, request, 0);
		write_whole(fd, request + part, 0);
		net_set(fd, IPPROTO_TCP, TCP_CORK, 0);
		break;
	case MORE:
		write_whole(fd, request, MSG_MORE);
		write_whole(fd, request + part, 0);
		break;
	case WRITE_READ:
		write_whole(fd, request, 0);
		read_whole(fd, answer, (size_t)part);
		write_whole(fd, request + part, 0);
		break;
	default:
		write_whole(fd, request, 0);
		write_whole(fd, request + part, 0);
		break;
	}
	if (!read_whole(fd, answer, (size_t)part))
		errx(EXIT_USAGE, "no answer");
}

static void ask(struct talk *t)
{
	uint8_t request[2 * 1024], answer[1024];
	int64_t end_ns = span_now() + time_ms * 1000000;

	while (t->done < exchanges && span_now() < end_ns && !run_stopped()) {
		int64_t begin_ns;

		pattern_fill(request, (size_t)(2 * part), (uint64_t)(2 * part * t->done));
		request[0] ^= t->corrupts;
		begin_ns = span_now();
		exchange(t, request, answer);
		t->latency[t->done++] = span_now() - begin_ns;
	}
	shutdown(t->fd, SHUT_WR);
}

/* --- the server: the far half ------------------------------------------------ */

static int64_t pure_acks(int fd)
{
	struct tcpinfo info = tcpinfo_read(fd);

	return info.segs_out - info.data_out;
}

/* Reads a part, at its place in the stream of all. */
static bool read_part(int fd, bool quickack, uint8_t *buffer, int64_t *read, int64_t *misplaced)
{
	if (quickack)
		net_set(fd, IPPROTO_TCP, TCP_QUICKACK, 1);
	if (!read_whole(fd, buffer, (size_t)part))
		return false;
	*misplaced += (int64_t)pattern_misplaced(buffer, (size_t)part, (uint64_t)*read);
	*read += part;
	return true;
}

static void answer_all(struct peer *near)
{
	struct answered *answered = check_alloc(calloc((size_t)exchanges, sizeof(*answered)));
	int64_t read = 0, misplaced = 0, done = 0;
	uint8_t buffer[1024];
	int64_t variant, acks;
	bool quickack;
	int fd;

	peer_hear(near, &variant, sizeof(variant));
	quickack = variant == QUICKACK;
	fd = peer_accept(near);
	acks = pure_acks(fd);
	while (done < exchanges && read_part(fd, quickack, buffer, &read, &misplaced)) {
		int64_t first_ns = span_now();

		if (variant == WRITE_READ)
			write_whole(fd, buffer, 0);
		if (!read_part(fd, quickack, buffer, &read, &misplaced))
			break;
		answered[done].gap_ns = span_now() - first_ns;
		answered[done].acks = pure_acks(fd) - acks;
		acks += answered[done++].acks;
		write_whole(fd, buffer, 0);
	}
	peer_say(near, &misplaced, sizeof(misplaced));
	peer_say(near, answered, (size_t)done * sizeof(*answered));
	close(fd);
	free(answered);
}

static void measure(struct run *run, size_t variant)
{
	struct talk t = {.variant = variant, .corrupts = run_sham(run, "corrupt")};
	int64_t told = (int64_t)variant;
	double stalled_ns = run_bound(run, "stalled_ns");
	struct answered *answered = check_alloc(calloc((size_t)exchanges, sizeof(*answered)));
	int64_t round_trip_ns, trips = variant == WRITE_READ ? 2 : 1;
	struct net_pair fd;
	int64_t misplaced;

	t.latency = check_alloc(calloc((size_t)exchanges, sizeof(*t.latency)));
	peer_begin(far, answer_all, TEAM_SPREAD);
	peer_say(far, &told, sizeof(told));
	fd = peer_connect(far, NULL, NET_TCP, (struct net_ask){0});
	t.fd = fd.tx;
	if (variant == NODELAY)
		net_set(t.fd, IPPROTO_TCP, TCP_NODELAY, 1);
	ask(&t);
	peer_hear(far, &misplaced, sizeof(misplaced));
	peer_hear(far, answered, (size_t)t.done * sizeof(*answered));
	peer_end(far);
	round_trip_ns = tcpinfo_read(t.fd).min_rtt;
	for (int64_t i = 0; i < t.done; i++) {
		int64_t waited_ns = t.latency[i] - trips * round_trip_ns;

		run_record(run, (struct field[]){{"exchange", i},
						 {"exchanges", 1},
						 {"latency_ns", t.latency[i]},
						 {"waited_ns", waited_ns},
						 {"round_trip_ns", round_trip_ns},
						 {"stalled", (double)waited_ns >= stalled_ns},
						 {"gap_ns", answered[i].gap_ns},
						 {"acks", answered[i].acks},
						 {"misplaced_bytes", i ? 0 : misplaced},
						 {0}});
	}
	net_close(&fd);
	free(answered);
	free(t.latency);
}

/* --- the delayed acknowledgement --------------------------------------------- */

enum { DIALOGUES = 8 };

/* Answers what comes, but not the last one of so many. */
static void answer_most(struct peer *near)
{
	int fd = peer_accept(near);
	uint8_t buffer[1024];

	for (int64_t i = 1; read_whole(fd, buffer, (size_t)part); i++)
		if (i % (DIALOGUES + 1) != 0)
			write_whole(fd, buffer, 0);
	close(fd);
}

/*
 * How long the reader waits for something to say before it acknowledges without.  It does so only
 * on a connection that has been a dialogue, so there is one before each write.
 */
static void measure_ack(struct run *run)
{
	int64_t end_ns = span_now() + 2000000000;
	uint8_t buffer[1024] = {0};
	struct net_pair fd;

	peer_begin(far, answer_most, TEAM_FREE);
	fd = peer_connect(far, NULL, NET_TCP, (struct net_ask){0});
	for (int times = 0; times < 8 && !run_stopped(); times++) {
		int64_t begin_ns, round_trip_ns;

		for (int i = 0; i < DIALOGUES; i++) {
			write_whole(fd.tx, buffer, 0);
			read_whole(fd.tx, buffer, (size_t)part);
		}
		round_trip_ns = tcpinfo_read(fd.tx).min_rtt;
		begin_ns = span_now();
		write_whole(fd.tx, buffer, 0);
		while (net_outq(fd.tx) > 0 && span_now() < end_ns &&
		       run_sleep_until(span_now() + 100000))
			;
		run_record(run, (struct field[]){{"exchange", times},
						 {"ack_ns", span_now() - begin_ns - round_trip_ns},
						 {"round_trip_ns", round_trip_ns},
						 {0}});
	}
	shutdown(fd.tx, SHUT_WR);
	peer_end(far);
	net_close(&fd);
}

static void (*const halves[])(struct peer *near) = {answer_all, answer_most, NULL};

/* --- judge --------------------------------------------------------------- */

static void judge(struct run *run)
{
	double usual = run_bound(run, "usual_share");
	struct share stalled = run_nonzero(run, PLAIN, "stalled");
	struct share control = run_nonzero(run, WRITE_READ, "stalled");
	struct interval waited = run_interval(run, PLAIN, "waited_ns");
	struct interval ack = run_interval(run, ACK, "ack_ns");
	struct share cured = {0};
	enum verdict about_40_ms = is_within(waited, run_bound(run, "delayed_low_ns"),
					     run_bound(run, "delayed_high_ns"));
	enum verdict is_delayed_ack = is_above(ack, run_bound(run, "stalled_ns"));

	for (size_t v = NODELAY; v <= MORE; v++)
		cured = share_add(cured, run_nonzero(run, v, "stalled"));
	run_judge(
		run, "tcp-nagle",
		or_not_seen(all_of(share_above(stalled, usual), about_40_ms, is_delayed_ack,
				   share_below(cured, usual))),
		"{stalled} exchanges stalled, for {waited_ns} (p50); the delayed acknowledgement takes {ack_ns}; with one of five cures {cured} stalled",
		number_share("stalled", stalled), number_interval("waited_ns", waited),
		number_interval("ack_ns", ack), number_share("cured", cured));
	run_check(run, "dialogue-does-not-stall", share_below(control, usual),
		  "{control} stalled: it is not two writes in a row that do it",
		  number_share("control", control));
}

static const struct experiment about = {
	.name = "nagle",
	.group = "tcp",
	.order = 401,
	.summary = "Why does a request of two small writes take tens of milliseconds?",
	.intro = "A request of two parts of {part_bytes} {where}, and its answer of as many.",
	.claims = claims,
	.controls = controls,
	.opts = opts,
	.variants = variants,
	.fields = fields,
	.bounds = bounds,
	.trials = 5,
	.quick_trials = 1,
	.timed = true,
	.judge = judge,
	.halves = halves,
};

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);

	far = peer_open(run);
	while (run_next(run)) {
		if (run_variant(run) == ACK)
			measure_ack(run);
		else
			measure(run, run_variant(run));
	}
	return run_end(run);
}
