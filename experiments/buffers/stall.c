/* SPDX-License-Identifier: MIT */
/*
 * stall - when does a blocking send block, for how long, and on whose account?
 *
 * A sender writes to a TCP connection whose receiver
 *
 *	sleep   sleeps first, then reads all it can: one long stall;
 *	drain   reads at a fixed rate: many short stalls, both queues a saw-tooth;
 *	eager   reads at once: the control, with nothing to wait for but the other thread;
 *	slow    reads at once, at the other end of a slow link: the sender waits for the network.
 *
 * TCP counts a window that is full of bytes under way as the peer's limit, too.  So the receiver
 * behind the slow link has a window larger than all that the sender can have under way.
 *
 * Every send is timed, both queues are sampled meanwhile (trace.h), and the cause of each blocked
 * call is named from what TCP says of itself, not from what the experiment set up.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "exp.h"
#include "judge.h"
#include "link.h"
#include "net.h"
#include "pattern.h"
#include "peer.h"
#include "span.h"
#include "trace.h"

enum { WIDE = 1 << 20 /* SO_RCVBUF of the slow link's receiver, bytes */, MS = 1000000 };

enum { SLEEP, DRAIN, EAGER, SLOW, VARIANTS };

static const struct variant variants[] = {
	[SLEEP] = {"sleep", "the receiver sleeps, then reads all"},
	[DRAIN] = {"drain", "the receiver reads at a fixed rate"},
	[EAGER] = {"eager", "the receiver reads at once (control)"},
	[SLOW] = {"slow", "the receiver reads at once behind a slow link of its own"},
	{0}};

static const char window_closes[] =
	"send only copies into the kernel's buffer. What the receiver does not read stays in its own; when that is full its window closes, the send buffer fills, and send waits.";

static const struct claim claims[] = {
	{"buf-send-blocks-full", "send blocks when the send buffer is full", "sleep=eager",
	 NOT_SEEN, .why = {[HOLDS] = window_closes}},
	{"buf-peer-full-blocks", "a full receive buffer at the peer blocks the sender",
	 "sleep=slow", NOT_SEEN, .why = {[HOLDS] = window_closes}},
	{"buf-send-copies", "send returns once the data is in the kernel, not once it is delivered",
	 "overwrite", REFUTED},
	{0}};

static const struct control controls[] = {
	{"slow-link-is-not-the-peer", "behind a slow link it is not the peer's window that blocks",
	 "slow=sleep"},
	{0}};

static const struct row_field fields[] = {
	{"calls", "of send", "calls"},
	{"blocked_calls", "of these: the thread slept in them", "blocked"},
	{"blocked_ns", "of all blocked calls", "blocked for"},
	{"longest_ns", "of the blocked calls whose cause is known, the longest; 0: there is none",
	 "longest"},
	{"peer_ns", "of blocked_ns: because of the peer's window", "peer's|window", SHOW_SUM,
	 "blocked_ns"},
	{"sndbuf_ns", "of blocked_ns: because of the send buffer's size", "send|buffer", SHOW_SUM,
	 "blocked_ns"},
	{"network_ns", "of blocked_ns: because of the network", "network", SHOW_SUM, "blocked_ns"},
	{"short_ns", "of blocked_ns: in calls too short for TCP's clocks"},
	{"unknown_ns", "of blocked_ns: TCP's clocks do not show why"},
	{"rwnd_limited_ns", "how long the peer's window held TCP up in the blocked calls"},
	{"blocked_while_full",
	 "1: blocked for half of the receiver's sleep or longer, with the send buffer charged with all it is granted; absent if nothing was sampled meanwhile, or the sender began so late that it could be neither blocked so long nor done"},
	{"peer_limited",
	 "1: most of a long stall was because of the peer's window; absent if it began so late, or if TCP's clocks do not show why for half of it"},
	{"longest_wmem_bytes",
	 "what the send buffer was charged with in the longest call, at most"},
	{"longest_backoff", "how often the window probes' timer doubled in it, at most"},
	{"first_call_ns", "of the first send"},
	{"held_bytes", "that the kernel had taken before recv was called first"},
	{"sent_bytes", "accepted by send in all"},
	{"granted_sndbuf_bytes", "SO_SNDBUF of the sender"},
	{"granted_rcvbuf_bytes", "SO_RCVBUF of the receiver"},
	{"missing_bytes", "bytes that did not arrive", .zero = true, .sham = "lose"},
	{"misplaced_bytes", "bytes that arrived changed or out of order", .zero = true,
	 .sham = "overwrite"},
	{"elapsed_ns", "of the whole trial"},
	{.also = trace_fields},
	{0}};

static const struct bound bounds[] = {
	{"stall_share", 0.5, "of the receiver's sleep: what fits into the buffers takes the rest"},
	{"cause_share", 0.5, "the cause of most of the time is the cause"},
	{"enough_trials", 3, "one stall could be another program's; three of three are not"},
	{0}};

static int64_t sleep_ms = 1000;
static int64_t rate = 1 << 20;
static int64_t total = 1 << 20;
static int64_t write_size = 16 << 10;
static int64_t sndbuf = 64 << 10;
static int64_t rcvbuf = 64 << 10;
static int64_t sample_us = 1000;
static const char *congestion;

static const struct opt opts[] = {
	{'s', "sleep", "how long the receiver sleeps", .num = &sleep_ms, .min = 50, .max = 60000,
	 .quick = 100, .unit = OPT_MS},
	{'r', "rate", "what drain reads, and the slow link takes, a second", .num = &rate,
	 .min = 1024, .max = 1 << 30, .quick = 4 << 20, .unit = OPT_BYTES_PER_S},
	{'n', "total", "what the sender writes", .num = &total, .min = 1, .max = 1 << 30,
	 .quick = 384 << 10, .unit = OPT_BYTES},
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

/* What the receiver is told to do, and what it saw. */
struct orders {
	int64_t sleep_ns;
	int64_t rate;  /* bytes a second; 0 = at once */
	int64_t loses; /* a sham */
};

struct seen {
	int64_t granted_rcvbuf, received, misplaced;
};

struct trial {
	size_t variant;
	struct trace trace;
	struct seen seen;
	int64_t granted_sndbuf;
	bool overwrites; /* a sham */
	int64_t elapsed_ns;
};

static struct link *cable;   /* the slow link; NULL: there is none */
static const char *no_cable; /* why */

static struct peer *far;

static void send_all(struct trial *t)
{
	uint8_t *buffer = check_alloc(malloc((size_t)write_size));
	int64_t sent = 0;

	while (sent < total && !run_stopped()) {
		size_t length = (size_t)(total - sent < write_size ? total - sent : write_size);
		ssize_t n;

		pattern_fill(buffer, length, (uint64_t)sent);
		if (t->overwrites)
			memset(buffer, 0, length);
		n = trace_send(&t->trace, buffer, length);
		if (n < 0)
			peer_failed("send");
		memset(buffer, 0, length); /* the copy in the kernel must not mind */
		sent += n;
	}
	shutdown(t->trace.fd.tx, SHUT_WR);
	free(buffer);
}

/* The far half.  It begins to read after the trial has begun by so much as it sleeps, or more. */
static void receive_all(struct peer *near)
{
	uint8_t *buffer = check_alloc(malloc((size_t)write_size));
	struct seen seen = {0};
	struct orders orders;
	int64_t begin_ns;
	ssize_t n = 1;
	int fd;

	peer_hear(near, &orders, sizeof(orders));
	fd = peer_accept(near);
	seen.granted_rcvbuf = net_rcvbuf(fd);
	peer_hear(near, NULL, 0);
	begin_ns = span_now();
	run_sleep_until(begin_ns + orders.sleep_ns);
	while (n > 0) {
		n = recv(fd, buffer, (size_t)write_size, 0);
		if (n < 0)
			peer_failed("recv");
		seen.misplaced +=
			(int64_t)pattern_misplaced(buffer, (size_t)n, (uint64_t)seen.received);
		seen.received += n;
		if (orders.rate && seen.received < total)
			run_sleep_until(begin_ns + (int64_t)((double)seen.received /
							     (double)orders.rate * 1e9));
	}
	seen.received -= orders.loses;
	peer_say(near, &seen, sizeof(seen));
	close(fd);
	free(buffer);
}

static void measure(struct run *run, struct trial *t)
{
	bool slow = t->variant == SLOW;
	struct net_ask ask = {sndbuf, slow ? WIDE : rcvbuf, congestion};
	struct orders orders = {.sleep_ns = t->variant == SLEEP ? sleep_ms * MS : 0,
				.rate = t->variant == DRAIN ? rate : 0,
				.loses = run_sham(run, "lose")};
	struct net_pair fd;

	peer_begin(far, receive_all, TEAM_FREE);
	peer_say(far, &orders, sizeof(orders));
	fd = peer_connect(far, slow ? cable : NULL, NET_TCP, ask);
	t->granted_sndbuf = net_sndbuf(fd.tx);
	trace_begin(&t->trace, fd, sample_us * 1000);
	peer_say(far, NULL, 0);
	send_all(t);
	peer_hear(far, &t->seen, sizeof(t->seen));
	t->elapsed_ns = trace_now(&t->trace);
	trace_end(&t->trace);
	peer_end(far);
	net_close(&fd);
}

/*
 * What the kernel had taken by then, and so held before the receiver that sleeps read: by calls that had
 * returned, or of one that blocks in the queue, or acknowledged.
 */
static int64_t taken_by(const struct trace *trace, int64_t ns)
{
	int64_t taken = 0;

	for (size_t i = 0; i < trace->calls_n; i++)
		if (trace->calls[i].begin_ns + trace->calls[i].elapsed_ns <= ns)
			taken = trace->calls[i].sent_bytes;
	for (size_t i = 0; i < trace->looks_n && trace->looks[i].at_ns <= ns; i++) {
		const struct trace_look *look = &trace->looks[i];
		int64_t seen = look->outq + look->tcp.acked - trace->looks[0].tcp.acked;

		taken = seen > taken ? seen : taken;
	}
	return taken < total ? taken : total; /* a FIN counts as a byte */
}

/* For how long the sender was blocked before that time. */
static int64_t blocked_by(const struct trace *trace, int64_t ns)
{
	int64_t blocked = 0;

	for (size_t i = 0; i < trace->calls_n; i++) {
		const struct trace_call *call = &trace->calls[i];

		if (call->blocked && call->begin_ns < ns)
			blocked += call->elapsed_ns < ns - call->begin_ns ? call->elapsed_ns
									  : ns - call->begin_ns;
	}
	return blocked;
}

static void record(struct run *run, const struct trial *t)
{
	const struct trace *trace = &t->trace;
	struct trace_sum sum = trace_sum(trace);
	const struct trace_call *first =
		trace->calls_n ? &trace->calls[0] : &(struct trace_call){0};
	/* only who sleeps reads all at once later, and a sender that begins late waits for the rest then */
	int64_t until_ns = t->variant == SLEEP ? sleep_ms * MS : INT64_MAX;
	bool stalled = (double)blocked_by(trace, until_ns) >=
		       run_bound(run, "stall_share") * (double)(sleep_ms * MS);
	bool peer = (double)sum.cause_ns[CAUSE_PEER] >=
		    run_bound(run, "cause_share") * (double)sum.blocked_ns;
	int64_t in_time = taken_by(trace, sleep_ms * MS);
	bool late = in_time < total && !stalled;
	bool is_peer = stalled && peer;
	bool is_full = stalled && sum.longest_wmem >= t->granted_sndbuf;
	/* TCP's clocks do not show why it waited */
	bool untold = stalled && !peer &&
		      (double)(sum.cause_ns[CAUSE_UNKNOWN] + sum.cause_ns[CAUSE_SHORT]) >=
			      run_bound(run, "cause_share") * (double)sum.blocked_ns;
	bool sampled = sum.longest_looks > 0 || !stalled;
	const char *full = sampled && !late ? "blocked_while_full" : NULL;
	const char *told = late || untold ? NULL : "peer_limited";

	trace_record(trace, run);
	run_record(run, (struct field[]){
				{"sent_bytes", atomic_load(&trace->sent)},
				{"missing_bytes", total - t->seen.received},
				{"misplaced_bytes", t->seen.misplaced},
				{"granted_sndbuf_bytes", t->granted_sndbuf},
				{"granted_rcvbuf_bytes", t->seen.granted_rcvbuf},
				{"calls", (int64_t)trace->calls_n},
				{"first_call_ns", first->elapsed_ns},
				{"blocked_calls", sum.blocked_calls},
				{"blocked_ns", sum.blocked_ns},
				{"rwnd_limited_ns", sum.rwnd_limited_ns},
				{"peer_ns", sum.cause_ns[CAUSE_PEER]},
				{"sndbuf_ns", sum.cause_ns[CAUSE_SNDBUF]},
				{"network_ns", sum.cause_ns[CAUSE_NETWORK]},
				{"short_ns", sum.cause_ns[CAUSE_SHORT]},
				{"unknown_ns", sum.cause_ns[CAUSE_UNKNOWN]},
				{"longest_ns", sum.longest_ns},
				{"longest_wmem_bytes", sum.longest_wmem},
				{"longest_backoff", sum.longest_backoff},
				{"held_bytes", t->variant == SLEEP ? in_time : taken_by(trace, 0)},
				{"elapsed_ns", t->elapsed_ns},
				/* the absent ones at the end */
				{full ? full : told, full ? is_full : is_peer},
				{full ? told : NULL, is_peer},
				{0}});
}

/* --- judge --------------------------------------------------------------- */

static void judge(struct run *run)
{
	int64_t enough = (int64_t)run_bound(run, "enough_trials");
	struct share full = run_nonzero(run, SLEEP, "blocked_while_full");
	struct share peer = run_nonzero(run, SLEEP, "peer_limited");
	struct share held = run_nonzero(run, SLEEP, "held_bytes");
	struct share changed = run_nonzero(run, SLEEP, "misplaced_bytes");
	struct share slow;

	run_judge(
		run, "buf-send-blocks-full", or_not_seen(always_happens(full, enough)),
		"in {full} trials blocked for most of the receiver's sleep of {sleep_ms}, {blocked_ns} in all; the send buffer of {granted_bytes} was charged with {wmem_bytes} meanwhile",
		number_share("full", full), number_int("sleep_ms", sleep_ms),
		number_real("blocked_ns", run_median(run, SLEEP, "blocked_ns")),
		number_real("granted_bytes", run_median(run, SLEEP, "granted_sndbuf_bytes")),
		number_real("wmem_bytes", run_median(run, SLEEP, "longest_wmem_bytes")));
	run_judge(
		run, "buf-peer-full-blocks", or_not_seen(always_happens(peer, enough)),
		"in {peer} trials most of the stall was because of the peer's window, by TCP_INFO, to a tick of {tick_ns}: {peer_ns} of {blocked_ns}; the window probes' timer doubled {backoff} times",
		number_share("peer", peer), number_int("tick_ns", span_tick()),
		number_real("peer_ns", run_median(run, SLEEP, "rwnd_limited_ns")),
		number_real("blocked_ns", run_median(run, SLEEP, "blocked_ns")),
		number_real("backoff", run_median(run, SLEEP, "longest_backoff")));
	run_judge(
		run, "buf-send-copies",
		all_of(always_happens(held, enough), never_happens(changed, enough)),
		"before the first recv {held_bytes} were in the kernel, in {held} trials; the first call took {first_ns}; overwriting the caller's buffer at once changed what arrived in {changed}",
		number_share("held", held), number_share("changed", changed),
		number_real("held_bytes", run_median(run, SLEEP, "held_bytes")),
		number_real("first_ns", run_median(run, SLEEP, "first_call_ns")));
	slow = run_nonzero(run, SLOW, "peer_limited");
	run_check(run, "slow-link-is-not-the-peer", never_happens(slow, enough),
		  "{slow} trials were held up by the peer's window", number_share("slow", slow));
}

static struct trial shown[VARIANTS]; /* each variant's first trial, for the picture */

static void draw(struct run *run)
{
	for (size_t v = 0; v < VARIANTS; v++) {
		if (v != EAGER && run_selected(run, v)) {
			trace_draw(&shown[v].trace, run_out(run), variants[v].name);
			fputs("\n", run_out(run));
		}
		trace_free(&shown[v].trace);
	}
}

static void (*const halves[])(struct peer *near) = {receive_all, NULL};

static const struct experiment about = {
	.name = "stall",
	.group = "buffers",
	.order = 301,
	.summary = "How long does a blocking send block, and why?",
	.intro =
		"TCP {where}, {sndbuf_bytes} and {rcvbuf_bytes} asked for. The sender calls send with {write_bytes} until it has written {total_bytes}; the receiver that sleeps does so for {sleep_ms}.",
	.claims = claims,
	.controls = controls,
	.opts = opts,
	.variants = variants,
	.fields = fields,
	.bounds = bounds,
	.trials = 3,
	.quick_trials = 3,
	.limit_s = 3600,
	.halves = halves,
	.judge = judge,
	.draw = draw,
};

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);

	far = peer_open(run);
	if (peer_remote(far))
		no_cable = "the peer is on another host";
	else if (run_selected(run, SLOW))
		cable = link_open((struct link_ask){.rate = rate}, &no_cable);
	if (no_cable)
		run_leave_out(run, SLOW, "no slow link: %s", no_cable);
	while (run_next(run)) {
		struct trial t = {.variant = run_variant(run),
				  .overwrites = run_sham(run, "overwrite")};

		measure(run, &t);
		record(run, &t);
		if (run_trial(run) == 0)
			shown[run_label(run)] = t;
		else
			trace_free(&t.trace);
	}
	if (cable)
		link_close(cable);
	return run_end(run);
}
