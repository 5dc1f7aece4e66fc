/* SPDX-License-Identifier: MIT */
#include "trace.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "check.h"
#include "language.h"
#include "span.h"
#include "text.h"

enum { COLUMNS = 56 }; /* of a drawing */

static const int64_t unchanged_ns = 50000000; /* a look is kept that long after the last */

const char *const cause_names[CAUSES] = {
	[CAUSE_NONE] = "none",       [CAUSE_PEER] = "peer-window", [CAUSE_SNDBUF] = "send-buffer",
	[CAUSE_NETWORK] = "network", [CAUSE_SHORT] = "too-short",  [CAUSE_UNKNOWN] = "unknown"};

/* --- measuring ----------------------------------------------------------- */

/* Makes room for one more. */
static void *grow(void *at, size_t n, size_t *room, size_t size)
{
	if (n < *room)
		return at;
	*room = *room ? *room * 2 : 1024;
	at = check_alloc(reallocarray(at, *room, size));
	return at;
}

static bool changed(const struct trace_look *a, const struct trace_look *b)
{
	return a->outq != b->outq || a->inq != b->inq || a->tcp.backoff != b->tcp.backoff ||
	       b->at_ns - a->at_ns >= unchanged_ns;
}

static void *look_on(void *argument)
{
	struct trace *t = argument;
	int64_t next = t->zero_ns;

	do {
		struct trace_look *look;

		t->looks = grow(t->looks, t->looks_n, &t->looks_room, sizeof(*t->looks));
		look = &t->looks[t->looks_n];
		*look = (struct trace_look){.at_ns = trace_now(t),
					    .outq = net_outq(t->fd.tx),
					    .inq = t->fd.rx < 0 ? 0 : net_inq(t->fd.rx),
					    .wmem = net_memory(t->fd.tx).send,
					    .tcp = tcpinfo_read(t->fd.tx)};
		if (t->looks_n == 0 || changed(look - 1, look))
			t->looks_n++;
		next += t->every_ns;
	} while (!atomic_load(&t->ended) && run_sleep_until(next));
	return NULL;
}

void trace_begin(struct trace *trace, struct net_pair fd, int64_t every_ns)
{
	*trace = (struct trace){.fd = fd, .zero_ns = span_now(), .every_ns = every_ns};
	check(pthread_create(&trace->sampler, NULL, look_on, trace), "pthread_create");
}

void trace_end(struct trace *trace)
{
	atomic_store(&trace->ended, true);
	check(pthread_join(trace->sampler, NULL), "pthread_join");
}

int64_t trace_now(const struct trace *trace)
{
	return span_now() - trace->zero_ns;
}

static enum cause cause_of(const struct trace_call *call, const struct tcpinfo *before,
			   const struct tcpinfo *after)
{
	int64_t peer = after->rwnd_limited - before->rwnd_limited;
	int64_t sndbuf = after->sndbuf_limited - before->sndbuf_limited;
	int64_t network = after->busy - before->busy - peer - sndbuf;
	int64_t half = call->elapsed_ns / 2;

	if (!call->blocked)
		return CAUSE_NONE;
	if (call->elapsed_ns < 2 * span_tick())
		return CAUSE_SHORT;
	if (peer >= half)
		return CAUSE_PEER;
	if (sndbuf >= half)
		return CAUSE_SNDBUF;
	return network >= half ? CAUSE_NETWORK : CAUSE_UNKNOWN;
}

ssize_t trace_send(struct trace *trace, const void *buffer, size_t length)
{
	struct trace_call call = {0};
	struct tcpinfo before = tcpinfo_read(trace->fd.tx);
	struct tcpinfo after;
	int64_t sleeps = span_sleeps();
	ssize_t n;
	int error;

	call.begin_ns = trace_now(trace);
	n = send(trace->fd.tx, buffer, length, MSG_NOSIGNAL);
	error = errno;
	call.elapsed_ns = trace_now(trace) - call.begin_ns;
	call.blocked = span_sleeps() > sleeps;
	if (n > 0)
		atomic_fetch_add(&trace->sent, n);
	after = tcpinfo_read(trace->fd.tx);
	call.sent_bytes = atomic_load(&trace->sent);
	call.cause = cause_of(&call, &before, &after);
	call.rwnd_limited_ns = after.rwnd_limited - before.rwnd_limited;
	trace->calls =
		grow(trace->calls, trace->calls_n, &trace->calls_room, sizeof(*trace->calls));
	trace->calls[trace->calls_n++] = call;
	errno = error;
	return n;
}

void trace_free(struct trace *trace)
{
	free(trace->calls);
	free(trace->looks);
	*trace = (struct trace){0};
}

/* --- what was seen ------------------------------------------------------- */

const struct row_field trace_fields[] = {
	{"begin_ns", "since the trial began", .row = "call"},
	{"elapsed_ns", "of this send", .row = "call"},
	{"sent_bytes", "accepted so far, with this call", .row = "call"},
	{"blocked", "1: the thread slept in it", .row = "call"},
	{"cause", "none, peer-window, send-buffer, network, too-short or unknown", .row = "call",
	 .text = true},
	{"rwnd_limited_ns", "how long the peer's window held TCP up meanwhile", .row = "call"},
	{"at_ns", "since the trial began", .row = "queue"},
	{"outq_bytes", "in the send queue (SIOCOUTQ)", .row = "queue"},
	{"inq_bytes", "in the receive queue (SIOCINQ); absent if that is on another host",
	 .row = "queue"},
	{"wmem_bytes", "what the send buffer is charged with", .row = "queue"},
	{"busy_ns", "TCP_INFO's clock: bytes were under way", .row = "queue"},
	{"rwnd_limited_ns", "TCP_INFO's clock: the peer's window was full", .row = "queue"},
	{"sndbuf_limited_ns", "TCP_INFO's clock: the send buffer was too small", .row = "queue"},
	{"backoff", "how often the window probes' timer has doubled", .row = "queue"},
	{0}};

void trace_record(const struct trace *trace, struct run *run)
{
	for (size_t i = 0; i < trace->calls_n; i++) {
		const struct trace_call *call = &trace->calls[i];

		run_row(run, "call",
			(struct field[]){{"begin_ns", call->begin_ns},
					 {"elapsed_ns", call->elapsed_ns},
					 {"sent_bytes", call->sent_bytes},
					 {"blocked", call->blocked},
					 {"cause", .text = cause_names[call->cause]},
					 {"rwnd_limited_ns", call->rwnd_limited_ns},
					 {0}});
	}
	for (size_t i = 0; i < trace->looks_n; i++) {
		const struct trace_look *look = &trace->looks[i];

		run_row(run, "queue",
			(struct field[]){{"at_ns", look->at_ns},
					 {"outq_bytes", look->outq},
					 {"wmem_bytes", look->wmem},
					 {"busy_ns", look->tcp.busy},
					 {"rwnd_limited_ns", look->tcp.rwnd_limited},
					 {"sndbuf_limited_ns", look->tcp.sndbuf_limited},
					 {"backoff", look->tcp.backoff},
					 {trace->fd.rx < 0 ? NULL : "inq_bytes", look->inq},
					 {0}});
	}
}

struct trace_sum trace_sum(const struct trace *trace)
{
	struct trace_sum sum = {0};
	int64_t begin_ns = 0; /* of the longest */

	for (size_t i = 0; i < trace->calls_n; i++) {
		const struct trace_call *call = &trace->calls[i];

		if (!call->blocked)
			continue;
		sum.blocked_calls++;
		sum.blocked_ns += call->elapsed_ns;
		sum.rwnd_limited_ns += call->rwnd_limited_ns;
		sum.cause_ns[call->cause] += call->elapsed_ns;
		if (call->cause != CAUSE_SHORT && call->elapsed_ns > sum.longest_ns) {
			sum.longest_ns = call->elapsed_ns;
			begin_ns = call->begin_ns;
		}
	}
	for (size_t i = 0; i < trace->looks_n; i++) {
		const struct trace_look *look = &trace->looks[i];

		if (look->at_ns < begin_ns || look->at_ns > begin_ns + sum.longest_ns)
			continue;
		sum.longest_looks++;
		if (look->wmem > sum.longest_wmem)
			sum.longest_wmem = look->wmem;
		if (look->tcp.backoff > sum.longest_backoff)
			sum.longest_backoff = look->tcp.backoff;
	}
	return sum;
}

/* How much of [from, to) the sender spent blocked, in ns. */
static int64_t blocked_within(const struct trace *trace, int64_t from, int64_t to)
{
	int64_t blocked = 0;

	for (size_t i = 0; i < trace->calls_n; i++) {
		int64_t begin = trace->calls[i].begin_ns;
		int64_t end = begin + trace->calls[i].elapsed_ns;

		if (trace->calls[i].blocked && begin < to && end > from)
			blocked += (end < to ? end : to) - (begin > from ? begin : from);
	}
	return blocked;
}

static void draw_sender(const struct trace *trace, FILE *out, int64_t column_ns)
{
	const struct trace_call *last = &trace->calls[trace->calls_n - 1];
	const char *running = text_pick("█", "#");
	const char *waiting = text_pick("░", "_");

	fputs("  ", out);
	text_pad(out, translated("sender"), 8);
	for (int64_t from = 0; from < COLUMNS * column_ns; from += column_ns) {
		int64_t blocked = blocked_within(trace, from, from + column_ns);

		if (from > last->begin_ns + last->elapsed_ns ||
		    from + column_ns < trace->calls[0].begin_ns)
			fputs(" ", out);
		else
			fputs(blocked * 2 > column_ns ? waiting : running, out);
	}
	fprintf(out, " %s %s\n", waiting, translated("blocked"));
}

static void draw_queue(const struct trace *trace, FILE *out, const char *label, bool sender,
		       int64_t column_ns)
{
	int64_t *at = check_alloc(calloc(2 * trace->looks_n, sizeof(*at)));
	int64_t *depth = at + trace->looks_n;
	int64_t peak = 0;

	for (size_t i = 0; i < trace->looks_n; i++) {
		at[i] = trace->looks[i].at_ns;
		depth[i] = sender ? trace->looks[i].outq : trace->looks[i].inq;
		peak = depth[i] > peak ? depth[i] : peak;
	}
	fprintf(out, "  %-7s ", label);
	text_timeline(out, at, depth, trace->looks_n, column_ns, COLUMNS);
	fprintf(out, " %s B\n", text_count(peak));
	free(at);
}

void trace_draw(const struct trace *trace, FILE *out, const char *title)
{
	int64_t column_ns;

	if (trace->calls_n == 0 || trace->looks_n == 0)
		return;
	column_ns = trace->looks[trace->looks_n - 1].at_ns / COLUMNS + 1;
	fprintf(out, "  %-7s 0 ms%*s\n", title, COLUMNS - 4,
		text_format("%s ms", text_count(column_ns * COLUMNS / 1000000)));
	draw_sender(trace, out, column_ns);
	draw_queue(trace, out, "sndbuf", true, column_ns);
	if (trace->fd.rx >= 0)
		draw_queue(trace, out, "rcvbuf", false, column_ns);
}
