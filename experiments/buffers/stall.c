/* SPDX-License-Identifier: MIT */
/*
 * stall - when does a blocking send block, for how long, and on whose account?
 *
 * A sender writes to a TCP connection whose receiver
 *
 *	sleep   sleeps first, then reads all it can: one long stall;
 *	drain   reads at a fixed rate: many short stalls, both queues a saw-tooth;
 *	eager   reads at once: the control, with nothing to wait for but the other thread;
 *	empty   reads at once from a sender who is late: now recv is the call that blocks.
 *
 * Every send is timed, and whether the thread slept in it is read from its own context switches.
 * A third thread samples both queues and what TCP says of itself.  The cause of each blocked call
 * is named from that evidence (how long TCP_INFO's clocks ran during the call), not from what the
 * experiment set up. Those clocks count in ticks of the kernel, so a call shorter than two ticks
 * is too short to tell.
 */
#include <err.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "check.h"
#include "exp.h"
#include "net.h"
#include "pattern.h"
#include "span.h"
#include "tcpinfo.h"
#include "text.h"

enum { SLEEP, DRAIN, EAGER, EMPTY, VARIANTS };

static const struct variant variants[] = {
	[SLEEP] = {"sleep", "the receiver sleeps, then reads all"},
	[DRAIN] = {"drain", "the receiver reads at a fixed rate"},
	[EAGER] = {"eager", "the receiver reads at once (control)"},
	[EMPTY] = {"empty", "the sender sleeps, the receiver sleeps in recv"},
	{0}};

static const struct claim claims[] = {
	{"buf-send-copies",
	 "send returns once the data is in the kernel, not once it is delivered"},
	{"buf-send-blocks-full", "send blocks when the send buffer is full"},
	{"buf-peer-full-blocks", "a full receive buffer at the peer blocks the sender"},
	{"buf-recv-blocks-empty", "recv blocks when the receive buffer is empty"},
	{0}};

static int64_t sleep_ms = 1000;
static int64_t rate = 1 << 20;
static int64_t total = 2 << 20;
static int64_t write_size = 16 << 10;
static int64_t sndbuf = 64 << 10;
static int64_t rcvbuf = 64 << 10;
static int64_t sample_us = 1000;
static const char *congestion;

static const struct opt opts[] = {
	{'s', "sleep", "how long the late side sleeps", .num = &sleep_ms, .min = 50, .max = 60000,
	 .quick = 300, .unit = OPT_MS},
	{'r', "rate", "what drain reads a second", .num = &rate, .min = 1024, .max = 1 << 30,
	 .unit = OPT_BYTES_PER_S},
	{'n', "total", "what the sender writes", .num = &total, .min = 1, .max = 1 << 30,
	 .quick = 1 << 20, .unit = OPT_BYTES},
	{'w', "write", "size of one send", .num = &write_size, .min = 1, .max = 1 << 24,
	 .unit = OPT_BYTES},
	{0, "sndbuf", "SO_SNDBUF to ask for", .num = &sndbuf, .max = INT32_MAX, .unit = OPT_BYTES,
	 .zero = "the default, which grows by itself"},
	{0, "rcvbuf", "SO_RCVBUF to ask for", .num = &rcvbuf, .max = INT32_MAX, .unit = OPT_BYTES,
	 .zero = "the default, which grows by itself"},
	{0, "sample-us", "time between two looks at the queues, in us", .num = &sample_us,
	 .min = 100, .max = 1000000},
	{0, "congestion", "congestion control of the sender, such as cubic", .text = &congestion},
	{0}};

static const struct experiment about = {
	.name = "stall",
	.group = "buffers",
	.summary = "How long does a blocking send block, and why?",
	.claims = claims,
	.opts = opts,
	.variants = variants,
	.trials = 3,
	.quick_trials = 1,
};

/* --- what is measured ---------------------------------------------------- */

enum cause { NOT_BLOCKED, PEER, SNDBUF, NETWORK, SHORT, UNTOLD, CAUSES };

static const char *const cause_names[] = {
	[NOT_BLOCKED] = "none", [PEER] = "peer-window", [SNDBUF] = "send-buffer",
	[NETWORK] = "network",  [SHORT] = "too-short",  [UNTOLD] = "untold"};

struct call {
	int64_t begin_ns, elapsed_ns, sent_bytes; /* sent: so far, with this call */
	bool blocked;
	enum cause cause;
	int64_t rwnd_limited_ns; /* how long TCP was held up by the peer's window during the call */
};

struct look {
	int64_t at_ns, outq, inq, wmem;
	struct tcpinfo tcp;
};

/* One trial.  Each field is written by one thread, and read after it was joined. */
struct trial {
	size_t variant;
	struct net_pair fd;
	int64_t zero_ns; /* CLOCK_MONOTONIC of the begin; all times count from it */
	atomic_bool done;

	struct call *calls;
	size_t calls_n;
	int64_t first_send_ns, sent_end_ns;

	int64_t received, misplaced;
	int64_t before_recv_inq;      /* what could be read before the first recv */
	bool before_recv_again;       /* a recv that must not wait said EAGAIN there */
	int64_t recv_ns, recv_end_ns; /* the first recv */
	bool recv_blocked;
	atomic_int_fast64_t accepted; /* by the sender's calls that have returned */
	int64_t before_read_bytes;    /* accepted, when the first recv was called */

	struct look *looks;
	size_t looks_n;
	int64_t granted_sndbuf, granted_rcvbuf;
};

static enum cause cause_of(const struct call *call, const struct tcpinfo *before,
			   const struct tcpinfo *after)
{
	int64_t peer = after->rwnd_limited - before->rwnd_limited;
	int64_t buffer = after->sndbuf_limited - before->sndbuf_limited;
	int64_t network = after->busy - before->busy - peer - buffer;
	int64_t half = call->elapsed_ns / 2;

	if (!call->blocked)
		return NOT_BLOCKED;
	if (call->elapsed_ns < 2 * span_tick())
		return SHORT;
	return peer >= half ? PEER : buffer >= half ? SNDBUF : network >= half ? NETWORK : UNTOLD;
}

/* A signal came: wake whoever is blocked in send or recv. */
static void hang_up(struct trial *t)
{
	shutdown(t->fd.tx, SHUT_RDWR);
	shutdown(t->fd.rx, SHUT_RDWR);
}

static void *send_all(void *argument)
{
	struct trial *t = argument;
	uint8_t *buffer = malloc((size_t)write_size);
	int64_t sent = 0;

	if (!buffer)
		err(EXIT_USAGE, "malloc");
	if (t->variant == EMPTY && !run_sleep_until(t->zero_ns + sleep_ms * 1000000))
		hang_up(t);
	t->first_send_ns = span_now() - t->zero_ns;
	while (sent < total && !run_stopped()) {
		struct call *call = &t->calls[t->calls_n];
		size_t length = (size_t)(total - sent < write_size ? total - sent : write_size);
		struct tcpinfo before = tcpinfo_read(t->fd.tx);
		struct tcpinfo after;
		int64_t sleeps;
		ssize_t n;

		pattern_fill(buffer, length, (uint64_t)sent);
		sleeps = span_sleeps();
		call->begin_ns = span_now() - t->zero_ns;
		n = send(t->fd.tx, buffer, length, MSG_NOSIGNAL);
		call->elapsed_ns = span_now() - t->zero_ns - call->begin_ns;
		call->blocked = span_sleeps() > sleeps;
		memset(buffer, 0, length); /* the copy in the kernel must not mind */
		if (n < 0 && !run_stopped())
			err(EXIT_USAGE, "send");
		if (n < 0)
			break;
		after = tcpinfo_read(t->fd.tx);
		sent += n;
		atomic_store(&t->accepted, sent);
		call->sent_bytes = sent;
		call->cause = cause_of(call, &before, &after);
		call->rwnd_limited_ns = after.rwnd_limited - before.rwnd_limited;
		t->calls_n++;
	}
	t->sent_end_ns = span_now() - t->zero_ns;
	shutdown(t->fd.tx, SHUT_WR);
	free(buffer);
	return NULL;
}

static void *receive_all(void *argument)
{
	struct trial *t = argument;
	uint8_t *buffer = malloc((size_t)write_size);
	int64_t sleeps;
	ssize_t n;

	if (!buffer)
		err(EXIT_USAGE, "malloc");
	if (t->variant == SLEEP && !run_sleep_until(t->zero_ns + sleep_ms * 1000000))
		hang_up(t);
	t->before_recv_inq = net_inq(t->fd.rx);
	t->before_recv_again =
		recv(t->fd.rx, buffer, 1, MSG_DONTWAIT | MSG_PEEK) < 0 && errno == EAGAIN;
	t->before_read_bytes = atomic_load(&t->accepted);
	sleeps = span_sleeps();
	t->recv_ns = span_now() - t->zero_ns;
	for (bool first = true; (n = recv(t->fd.rx, buffer, (size_t)write_size, 0)) > 0;
	     first = false) {
		if (first) {
			t->recv_end_ns = span_now() - t->zero_ns;
			t->recv_blocked = span_sleeps() > sleeps;
		}
		t->misplaced +=
			(int64_t)pattern_misplaced(buffer, (size_t)n, (uint64_t)t->received);
		t->received += n;
		if (t->variant == DRAIN && t->received < total &&
		    !run_sleep_until(t->zero_ns +
				     (int64_t)((double)t->received / (double)rate * 1e9)))
			hang_up(t);
	}
	if (n < 0 && !run_stopped())
		err(EXIT_USAGE, "recv");
	atomic_store(&t->done, true);
	free(buffer);
	return NULL;
}

/* Whether something stands in the queues that did not stand there at the look before. */
static bool changed(const struct look *a, const struct look *b)
{
	return a->outq != b->outq || a->inq != b->inq || a->tcp.backoff != b->tcp.backoff ||
	       b->at_ns - a->at_ns >= 50000000;
}

static void *look_on(void *argument)
{
	struct trial *t = argument;
	size_t room = 0;
	int64_t next = t->zero_ns;

	do {
		struct look *look;

		if (t->looks_n == room) {
			room = room ? room * 2 : 1024;
			t->looks = realloc(t->looks, room * sizeof(*t->looks));
			if (!t->looks)
				err(EXIT_USAGE, "realloc");
		}
		look = &t->looks[t->looks_n];
		*look = (struct look){.at_ns = span_now() - t->zero_ns,
				      .outq = net_outq(t->fd.tx),
				      .inq = net_inq(t->fd.rx),
				      .wmem = net_memory(t->fd.tx).send,
				      .tcp = tcpinfo_read(t->fd.tx)};
		if (t->looks_n == 0 || changed(look - 1, look))
			t->looks_n++;
		next += sample_us * 1000;
	} while (!atomic_load(&t->done) && run_sleep_until(next));
	return NULL;
}

/* --- one trial ----------------------------------------------------------- */

/* The longest call, 0 if none blocked for long enough to tell why. */
static const struct call *longest_stall(const struct trial *t)
{
	const struct call *longest = NULL;

	for (size_t i = 0; i < t->calls_n; i++)
		if (t->calls[i].blocked && t->calls[i].cause != SHORT &&
		    (!longest || t->calls[i].elapsed_ns > longest->elapsed_ns))
			longest = &t->calls[i];
	return longest;
}

/*
 * What was seen while a call lasted: the most that the send buffer held, and the probes' backoff.
 */
static struct look peak_during(const struct trial *t, const struct call *call)
{
	struct look peak = {0};

	for (size_t i = 0; call && i < t->looks_n; i++) {
		const struct look *look = &t->looks[i];

		if (look->at_ns < call->begin_ns || look->at_ns > call->begin_ns + call->elapsed_ns)
			continue;
		if (look->wmem > peak.wmem)
			peak.wmem = look->wmem;
		if (look->tcp.backoff > peak.tcp.backoff)
			peak.tcp.backoff = look->tcp.backoff;
	}
	return peak;
}

static void record(struct run *run, const struct trial *t)
{
	int64_t by_cause[CAUSES] = {0};
	int64_t blocked_calls = 0;
	int64_t blocked_ns = 0;
	int64_t rwnd_limited_ns = 0;
	const struct call *longest = longest_stall(t);
	struct look peak = peak_during(t, longest);

	for (size_t i = 0; i < t->calls_n; i++) {
		const struct call *call = &t->calls[i];

		run_row(run, "call",
			(struct field[]){{"begin_ns", call->begin_ns},
					 {"elapsed_ns", call->elapsed_ns},
					 {"sent_bytes", call->sent_bytes},
					 {"blocked", call->blocked},
					 {"cause", .text = cause_names[call->cause]},
					 {"rwnd_limited_ns", call->rwnd_limited_ns},
					 {0}});
		if (!call->blocked)
			continue;
		blocked_calls++;
		blocked_ns += call->elapsed_ns;
		by_cause[call->cause] += call->elapsed_ns;
		rwnd_limited_ns += call->rwnd_limited_ns;
	}
	for (size_t i = 0; i < t->looks_n; i++) {
		const struct look *look = &t->looks[i];

		run_row(run, "queue",
			(struct field[]){{"at_ns", look->at_ns},
					 {"outq_bytes", look->outq},
					 {"inq_bytes", look->inq},
					 {"wmem_bytes", look->wmem},
					 {"rwnd_limited_ns", look->tcp.rwnd_limited},
					 {"sndbuf_limited_ns", look->tcp.sndbuf_limited},
					 {"busy_ns", look->tcp.busy},
					 {"backoff", look->tcp.backoff},
					 {0}});
	}
	run_record(run, (struct field[]){{"sent_bytes", atomic_load(&t->accepted)},
					 {"missing_bytes", total - t->received},
					 {"misplaced_bytes", t->misplaced},
					 {"granted_sndbuf_bytes", t->granted_sndbuf},
					 {"granted_rcvbuf_bytes", t->granted_rcvbuf},
					 {"calls", (int64_t)t->calls_n},
					 {"first_call_ns", t->calls_n ? t->calls[0].elapsed_ns : 0},
					 {"blocked_calls", blocked_calls},
					 {"blocked_ns", blocked_ns},
					 {"rwnd_limited_ns", rwnd_limited_ns},
					 {"peer_ns", by_cause[PEER]},
					 {"sndbuf_ns", by_cause[SNDBUF]},
					 {"network_ns", by_cause[NETWORK]},
					 {"short_ns", by_cause[SHORT]},
					 {"untold_ns", by_cause[UNTOLD]},
					 {"longest_ns", longest ? longest->elapsed_ns : 0},
					 {"longest_wmem_bytes", peak.wmem},
					 {"longest_backoff", peak.tcp.backoff},
					 {"before_read_bytes", t->before_read_bytes},
					 {"recv_inq_bytes", t->before_recv_inq},
					 {"recv_again", t->before_recv_again},
					 {"recv_blocked", t->recv_blocked},
					 {"recv_elapsed_ns", t->recv_end_ns - t->recv_ns},
					 {"recv_after_send_ns", t->recv_end_ns - t->first_send_ns},
					 {"elapsed_ns", t->sent_end_ns},
					 {0}});
}

static void measure(struct run *run, struct trial *t)
{
	static void *(*const roles[])(void *) = {receive_all, send_all, look_on};
	pthread_t threads[3];

	t->fd = net_pair(NET_TCP, (struct net_ask){sndbuf, rcvbuf, congestion});
	t->granted_sndbuf = net_sndbuf(t->fd.tx);
	t->granted_rcvbuf = net_rcvbuf(t->fd.rx);
	t->calls = calloc((size_t)(total / write_size + 2), sizeof(*t->calls));
	if (!t->calls)
		err(EXIT_USAGE, "calloc");
	t->zero_ns = span_now();
	for (int i = 0; i < 3; i++)
		check(pthread_create(&threads[i], NULL, roles[i], t), "pthread_create");
	for (int i = 0; i < 3; i++)
		check(pthread_join(threads[i], NULL), "pthread_join");
	record(run, t);
	net_close(&t->fd);
}

static void forget(struct trial *t)
{
	free(t->calls);
	free(t->looks);
	*t = (struct trial){0};
}

/* --- report -------------------------------------------------------------- */

enum { COLUMNS = 56 };

static struct trial shown[VARIANTS]; /* each variant's first trial, for the picture */

static double median_of(struct run *run, size_t variant, const char *field)
{
	return stats_quantile(run_values(run, variant, field), 0.5);
}

/* "1,001 ms"; "-" for nothing. */
static const char *ms(double ns)
{
	return ns > 0 ? text_format("%s%s ms", ns < 1e6 ? "<" : "",
				    text_count(ns < 1e6 ? 1 : (int64_t)(ns / 1e6 + 0.5)))
		      : "-";
}

/* The cause of most of the variant's blocked time, and its share of it. */
static const char *main_cause(struct run *run, size_t variant)
{
	static const struct {
		const char *field;
		enum cause cause;
	} parts[] = {{"peer_ns", PEER},
		     {"sndbuf_ns", SNDBUF},
		     {"network_ns", NETWORK},
		     {"short_ns", SHORT},
		     {"untold_ns", UNTOLD}};
	double blocked = stats_sum(run_values(run, variant, "blocked_ns"));
	double most = 0;
	enum cause cause = NOT_BLOCKED;

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		double part = stats_sum(run_values(run, variant, parts[i].field));

		if (part > most) {
			most = part;
			cause = parts[i].cause;
		}
	}
	return most > 0 ? text_format("%s %s", cause_names[cause], text_share(most / blocked))
			: "-";
}

static void print_table(struct run *run)
{
	FILE *out = run_out(run);

	run_say(run,
		"TCP on loopback, buffers of %s and %s asked for, %s and %s granted. The sender "
		"calls "
		"send(%s) until it has written %s.",
		sndbuf ? text_bytes(sndbuf) : "default", rcvbuf ? text_bytes(rcvbuf) : "default",
		text_bytes(shown[run_variant(run)].granted_sndbuf),
		text_bytes(shown[run_variant(run)].granted_rcvbuf), text_bytes(write_size),
		text_bytes(total));
	fputs("\n", out);
	fprintf(out, "  %-8s %6s %6s %8s %12s %10s  %s\n", "receiver", "trials", "calls", "blocked",
		"blocked for", "longest", "mostly because of");
	for (size_t v = 0; v < VARIANTS; v++)
		if (run_selected(run, v))
			fprintf(out, "  %-8s %6zu %6.0f %8.0f %12s %10s  %s\n", variants[v].name,
				run_values(run, v, "calls").n, median_of(run, v, "calls"),
				median_of(run, v, "blocked_calls"),
				ms(median_of(run, v, "blocked_ns")),
				ms(median_of(run, v, "longest_ns")), main_cause(run, v));
}

/* How much of [from, to) the sender spent blocked, in ns. */
static int64_t blocked_within(const struct trial *t, int64_t from, int64_t to)
{
	int64_t blocked = 0;

	for (size_t i = 0; i < t->calls_n; i++) {
		int64_t begin = t->calls[i].begin_ns;
		int64_t end = begin + t->calls[i].elapsed_ns;

		if (t->calls[i].blocked && begin < to && end > from)
			blocked += (end < to ? end : to) - (begin > from ? begin : from);
	}
	return blocked;
}

static void draw_queue(FILE *out, const char *label, const struct trial *t, bool at_sender,
		       int64_t column_ns)
{
	int64_t *at = calloc(2 * t->looks_n, sizeof(*at));
	int64_t *depth = at + t->looks_n;
	int64_t peak = 0;

	if (!at)
		err(EXIT_USAGE, "calloc");
	for (size_t i = 0; i < t->looks_n; i++) {
		at[i] = t->looks[i].at_ns;
		depth[i] = at_sender ? t->looks[i].outq : t->looks[i].inq;
		peak = depth[i] > peak ? depth[i] : peak;
	}
	fprintf(out, "  %-7s ", label);
	text_timeline(out, at, depth, t->looks_n, column_ns, COLUMNS);
	fprintf(out, " %s B\n", text_count(peak));
	free(at);
}

static void draw(struct run *run, const struct trial *t)
{
	FILE *out = run_out(run);
	int64_t column_ns = t->looks_n ? t->looks[t->looks_n - 1].at_ns / COLUMNS + 1 : 0;

	if (t->calls_n == 0 || column_ns == 0)
		return;
	fprintf(out, "\n  %-7s 0 ms%*lld ms\n", variants[t->variant].name, COLUMNS - 7,
		(long long)(column_ns * COLUMNS / 1000000));
	fprintf(out, "  %-7s ", "sender");
	for (int64_t column = 0; column < COLUMNS; column++) {
		int64_t from = column * column_ns;
		bool ended = from > t->sent_end_ns || from + column_ns < t->first_send_ns;
		bool blocked = blocked_within(t, from, from + column_ns) * 2 > column_ns;

		fputs(ended ? " " : blocked ? text_pick("░", "_") : text_pick("█", "#"), out);
	}
	fprintf(out, " %s = blocked\n", text_pick("░", "_"));
	draw_queue(out, "sndbuf", t, true, column_ns);
	draw_queue(out, "rcvbuf", t, false, column_ns);
}

static void judge_send(struct run *run)
{
	double accepted = median_of(run, SLEEP, "before_read_bytes");
	double first = median_of(run, SLEEP, "first_call_ns");
	double stall = median_of(run, SLEEP, "longest_ns");
	double blocked = median_of(run, SLEEP, "blocked_ns");
	double peer = median_of(run, SLEEP, "rwnd_limited_ns");
	double share = blocked / (double)(sleep_ms * 1000000);
	double wmem = stats_quantile(run_values(run, SLEEP, "longest_wmem_bytes"), 0);
	double granted = median_of(run, SLEEP, "granted_sndbuf_bytes");
	struct values changed_bytes = run_values(run, SLEEP, "misplaced_bytes");

	run_verdict(run, "buf-send-copies",
		    accepted > 0 && stats_nonzero(changed_bytes) == 0 ? HOLDS : REFUTED,
		    (struct field[]){{"before_read_bytes", (int64_t)accepted},
				     {"first_call_ns", (int64_t)first},
				     {"changed_trials", (int64_t)stats_nonzero(changed_bytes)},
				     {0}},
		    "%s bytes were accepted before the first recv, the first call took %s; "
		    "overwriting the caller's buffer at once changed %s",
		    text_count((int64_t)accepted), text_time(first),
		    stats_nonzero(changed_bytes) ? "what arrived" : "nothing");
	if (stats_quantile(run_values(run, SLEEP, "longest_ns"), 0) == 0) {
		run_verdict(run, "buf-send-blocks-full", NOT_SEEN, NULL,
			    "some trials had no blocked call long enough to judge: raise --total");
		run_verdict(run, "buf-peer-full-blocks", NOT_SEEN, NULL,
			    "some trials had no blocked call long enough to judge: raise --total");
		return;
	}
	run_verdict(run, "buf-send-blocks-full", wmem >= granted ? HOLDS : DEPENDS,
		    (struct field[]){{"blocked_ns", (int64_t)blocked},
				     {"blocked_of_sleep", .real = &share},
				     {"wmem_bytes", (int64_t)wmem},
				     {"granted_sndbuf_bytes", (int64_t)granted},
				     {0}},
		    "blocked for %s, %s of the receiver's sleep of %s; the send buffer of %s was "
		    "charged with %s meanwhile",
		    ms(blocked), text_share(share), ms((double)sleep_ms * 1e6),
		    text_count((int64_t)granted), text_count((int64_t)wmem));
	run_verdict(run, "buf-peer-full-blocks", peer >= stall / 2 ? HOLDS : REFUTED,
		    (struct field[]){{"rwnd_limited_ns", (int64_t)peer},
				     {"blocked_ns", (int64_t)blocked},
				     {0}},
		    "TCP_INFO: held up by the peer's window for %s of the %s blocked; the window "
		    "probes' timer doubled %.0f times",
		    ms(peer), ms(blocked), median_of(run, SLEEP, "longest_backoff"));
}

static void judge_recv(struct run *run)
{
	struct values waited = run_values(run, EMPTY, "recv_blocked");
	struct values again = run_values(run, EMPTY, "recv_again");
	struct values early = run_values(run, EMPTY, "recv_after_send_ns");
	double elapsed = median_of(run, EMPTY, "recv_elapsed_ns");
	bool all = stats_nonzero(waited) == waited.n && stats_nonzero(again) == again.n &&
		   stats_quantile(early, 0) >= 0;

	run_verdict(run, "buf-recv-blocks-empty", all ? HOLDS : REFUTED,
		    (struct field[]){{"blocked_trials", (int64_t)stats_nonzero(waited)},
				     {"trials", (int64_t)waited.n},
				     {"recv_elapsed_ns", (int64_t)elapsed},
				     {0}},
		    "in %zu of %zu trials recv slept, for %s; the sender came %s late. "
		    "With MSG_DONTWAIT it said EAGAIN instead",
		    stats_nonzero(waited), waited.n, ms(elapsed), ms((double)sleep_ms * 1e6));
}

static void report(struct run *run)
{
	FILE *out = run_out(run);

	print_table(run);
	for (size_t v = SLEEP; v <= DRAIN; v++)
		draw(run, &shown[v]);
	fputs("\n", out);
	for (size_t v = 0; v < VARIANTS; v++) {
		struct values short_of = run_values(run, v, "missing_bytes");
		struct values misplaced = run_values(run, v, "misplaced_bytes");

		run_control(run, stats_nonzero(short_of) == 0 && stats_nonzero(misplaced) == 0,
			    "%s: bytes were lost or changed in %zu of %zu trials", variants[v].name,
			    stats_nonzero(short_of) + stats_nonzero(misplaced), short_of.n);
	}
	if (run_selected(run, SLEEP))
		judge_send(run);
	if (run_selected(run, EMPTY))
		judge_recv(run);
	run_why(run,
		"send only copies into the kernel's buffer. What the receiver does not read "
		"stays in its own; when that is full its window closes, the send buffer fills, "
		"and send waits.");
	for (size_t v = 0; v < VARIANTS; v++)
		forget(&shown[v]);
}

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);

	while (run_next(run)) {
		struct trial t = {.variant = run_variant(run)};

		measure(run, &t);
		if (run_trial(run) == 0)
			shown[t.variant] = t;
		else
			forget(&t);
	}
	return run_end(run, report);
}
