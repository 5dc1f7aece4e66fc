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

#include "check.h"
#include "exp.h"
#include "net.h"
#include "pattern.h"
#include "span.h"
#include "tcpinfo.h"
#include "team.h"
#include "text.h"

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
	{"tcp-nagle", "write, write, read stalls for about 40 ms, the delayed acknowledgement"},
	{0}};

static int64_t exchanges = 100;
static int64_t time_ms = 500;
static int64_t part = 100;

static const struct opt opts[] = {
	{'n', "exchanges", "of a trial, at most", .num = &exchanges, .min = 2, .max = 100000},
	{'m', "time", "a trial ends with the exchange after it", .num = &time_ms, .min = 100,
	 .quick = 350, .max = 60000, .unit = OPT_MS},
	{'s', "part", "size of a part, and of an answer", .num = &part, .min = 1, .max = 1024,
	 .unit = OPT_BYTES},
	{0}};

static const struct experiment about = {
	.name = "nagle",
	.group = "tcp",
	.summary = "Why does a request of two small writes take tens of milliseconds?",
	.claims = claims,
	.opts = opts,
	.variants = variants,
	.trials = 5,
	.quick_trials = 1,
};

/* One trial; the client's fields and the server's are written by its thread. */
struct talk {
	size_t variant;
	struct net_pair fd;      /* tx is the client's */
	int64_t *latency, *acks; /* of each exchange: acks are those without data by the server */
	int64_t done;
	int64_t *gap; /* between the arrival of the two parts */
	int64_t misplaced, read;
};

/* Reads exactly so many bytes; false at the end of the stream. */
static bool read_whole(int fd, uint8_t *buffer, size_t length)
{
	ssize_t n = recv(fd, buffer, length, MSG_WAITALL);

	if (n < 0)
		err(EXIT_USAGE, "recv");
	return (size_t)n == length;
}

static void write_whole(int fd, const uint8_t *buffer, int flags)
{
	if (send(fd, buffer, (size_t)part, flags) != part)
		err(EXIT_USAGE, "send");
}

static void exchange(const struct talk *t, uint8_t *request, uint8_t *answer)
{
	struct iovec both[] = {{request, (size_t)part}, {request + part, (size_t)part}};
	int fd = t->fd.tx;

	switch (t->variant) {
	case WRITEV:
		if (writev(fd, both, 2) != 2 * part)
			err(EXIT_USAGE, "writev");
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

static int64_t pure_acks(int fd)
{
	struct tcpinfo info = tcpinfo_read(fd);

	return info.segs_out - info.data_out;
}

static void ask(void *argument)
{
	struct talk *t = argument;
	uint8_t request[2 * 1024], answer[1024];
	int64_t end_ns = span_now() + time_ms * 1000000;

	while (t->done < exchanges && span_now() < end_ns && !run_stopped()) {
		int64_t acks = pure_acks(t->fd.rx);
		int64_t begin_ns;

		pattern_fill(request, (size_t)(2 * part), (uint64_t)(2 * part * t->done));
		begin_ns = span_now();
		exchange(t, request, answer);
		t->latency[t->done] = span_now() - begin_ns;
		t->acks[t->done++] = pure_acks(t->fd.rx) - acks;
	}
	shutdown(t->fd.tx, SHUT_WR);
}

static bool read_part(struct talk *t, uint8_t *buffer)
{
	if (t->variant == QUICKACK)
		net_set(t->fd.rx, IPPROTO_TCP, TCP_QUICKACK, 1);
	if (!read_whole(t->fd.rx, buffer, (size_t)part))
		return false;
	t->misplaced += (int64_t)pattern_misplaced(buffer, (size_t)part, (uint64_t)t->read);
	t->read += part;
	return true;
}

static void answer_all(void *argument)
{
	struct talk *t = argument;
	uint8_t buffer[1024];

	for (int64_t i = 0; read_part(t, buffer); i++) {
		int64_t first_ns = span_now();

		if (t->variant == WRITE_READ)
			write_whole(t->fd.rx, buffer, 0);
		if (!read_part(t, buffer))
			break;
		t->gap[i] = span_now() - first_ns;
		write_whole(t->fd.rx, buffer, 0);
	}
}

static void measure(struct run *run, size_t variant)
{
	struct talk t = {.variant = variant, .fd = net_pair(NET_TCP, (struct net_ask){0})};
	struct team team;

	t.latency = calloc((size_t)exchanges, 3 * sizeof(*t.latency));
	if (!t.latency)
		err(EXIT_USAGE, "calloc");
	t.acks = t.latency + exchanges;
	t.gap = t.acks + exchanges;
	if (variant == NODELAY)
		net_set(t.fd.tx, IPPROTO_TCP, TCP_NODELAY, 1);
	team_start_two(&team, TEAM_SPREAD, ask, answer_all, &t);
	team_join(&team);
	for (int64_t i = 0; i < t.done; i++)
		run_record(run, (struct field[]){{"exchange", i},
						 {"latency_ns", t.latency[i]},
						 {"gap_ns", t.gap[i]},
						 {"acks", t.acks[i]},
						 {"misplaced_bytes", i ? 0 : t.misplaced},
						 {0}});
	net_close(&t.fd);
	free(t.latency);
}

/*
 * How long the reader waits for something to say before it acknowledges without.  It does so only
 * on a connection that has been a dialogue, so there is one before each write.
 */
static void measure_ack(struct run *run)
{
	struct net_pair fd = net_pair(NET_TCP, (struct net_ask){0});
	uint8_t buffer[1024] = {0};
	int64_t end_ns = span_now() + 2000000000;

	for (int times = 0; times < 3 && !run_stopped(); times++) {
		int64_t begin_ns;

		for (int i = 0; i < 8; i++) {
			write_whole(fd.tx, buffer, 0);
			read_whole(fd.rx, buffer, (size_t)part);
			write_whole(fd.rx, buffer, 0);
			read_whole(fd.tx, buffer, (size_t)part);
		}
		begin_ns = span_now();
		write_whole(fd.tx, buffer, 0);
		read_whole(fd.rx, buffer, (size_t)part);
		while (net_outq(fd.tx) > 0 && span_now() < end_ns &&
		       run_sleep_until(span_now() + 100000))
			;
		run_record(run, (struct field[]){{"exchange", times},
						 {"ack_ns", span_now() - begin_ns},
						 {0}});
	}
	net_close(&fd);
}

/* --- report -------------------------------------------------------------- */

/* An exchange that took half as long as a delayed acknowledgement, or longer, waited for it. */
static size_t stalls(struct run *run, size_t variant, double ack_ns)
{
	struct values latency = run_values(run, variant, "latency_ns");
	size_t n = 0;

	for (size_t i = 0; i < latency.n; i++)
		n += (double)latency.at[i] >= ack_ns / 2;
	return n;
}

static void print_table(struct run *run, double ack_ns)
{
	FILE *out = run_out(run);

	run_say(run,
		"A request of two parts of %s over loopback, and its answer of %s. "
		"%s",
		text_bytes(part), text_bytes(part),
		ack_ns > 0 ? text_format("A segment that nobody answers is acknowledged after %s: "
					 "an exchange "
					 "stalls if it takes half of that.",
					 text_time(ack_ns))
			   : "Without the variant ack a stall is not defined.");
	fprintf(out, "\n  %-10s %9s %8s %8s %8s %13s %12s\n", "", "", "", "", "", "between",
		"ACKs without");
	fprintf(out, "  %-10s %9s %8s %8s %8s %13s %12s\n", "variant", "exchanges", "stalled",
		"p50", "p99", "parts, p50", "data, each");
	for (size_t v = 0; v < ACK; v++) {
		struct values latency = run_values(run, v, "latency_ns");

		if (latency.n)
			fprintf(out, "  %-10s %9zu %8s %8s %8s %13s %12.2f\n", variants[v].name,
				latency.n,
				ack_ns > 0 ? text_format("%zu", stalls(run, v, ack_ns)) : "?",
				text_time(stats_quantile(latency, 0.5)),
				text_time(stats_quantile(latency, 0.99)),
				text_time(run_median(run, v, "gap_ns")),
				run_sum(run, v, "acks") / (double)latency.n);
	}
	fputs("\n", out);
}

/* "nodelay 24.1 us, writev ..." of those that do not stall. */
static const char *cures(struct run *run, double ack_ns)
{
	const char *list = "";

	for (size_t v = NODELAY; v <= MORE; v++) {
		size_t n = run_values(run, v, "latency_ns").n;

		if (n && stalls(run, v, ack_ns) * 2 < n)
			list = text_format("%s%s%s %s", list, *list ? ", " : "", variants[v].name,
					   text_time(run_median(run, v, "latency_ns")));
	}
	return *list ? list : "none of them";
}

static void judge(struct run *run, double ack_ns)
{
	struct values plain = run_values(run, PLAIN, "latency_ns");
	size_t stalled = stalls(run, PLAIN, ack_ns);
	double typical = stats_quantile(plain, 0.5);

	if (plain.n && ack_ns > 0)
		run_verdict(
			run, "tcp-nagle", stalled * 2 > plain.n ? HOLDS : NOT_SEEN,
			(struct field[]){{"stalled", (int64_t)stalled},
					 {"exchanges", (int64_t)plain.n},
					 {"p50_ns", (int64_t)typical},
					 {"ack_ns", (int64_t)ack_ns},
					 {0}},
			"%zu of %zu exchanges stalled, for %s (p50); the delayed acknowledgement "
			"takes %s. Without a stall: %s",
			stalled, plain.n, text_time(typical), text_time(ack_ns),
			cures(run, ack_ns));
}

static void report(struct run *run)
{
	double ack_ns = run_median(run, ACK, "ack_ns");
	struct values control = run_values(run, WRITE_READ, "latency_ns");

	print_table(run, ack_ns);
	judge(run, ack_ns);
	if (control.n && ack_ns > 0)
		run_control(run, stalls(run, WRITE_READ, ack_ns) * 2 < control.n,
			    "%s stalls too: it is not two writes in a row that do it",
			    variants[WRITE_READ].name);
	for (size_t v = 0; v < ACK; v++)
		run_control(run, run_sum(run, v, "misplaced_bytes") == 0,
			    "%s: a request arrived changed", variants[v].name);
	run_why(run, "Nagle's algorithm holds the second part back until the first one is "
		     "acknowledged; the reader delays that until it has something to send, which "
		     "it has not before both parts are there. Both wait until the delayed "
		     "acknowledgement's timer runs out.");
}

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);

	while (run_next(run)) {
		if (run_variant(run) == ACK)
			measure_ack(run);
		else
			measure(run, run_variant(run));
	}
	return run_end(run, report);
}
