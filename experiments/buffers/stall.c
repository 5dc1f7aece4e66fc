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
#include <err.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "check.h"
#include "exp.h"
#include "link.h"
#include "net.h"
#include "pattern.h"
#include "span.h"
#include "text.h"
#include "trace.h"

enum { WIDE = 1 << 20 /* SO_RCVBUF of the slow link's receiver, bytes */ };

enum { SLEEP, DRAIN, EAGER, SLOW, VARIANTS };

static const struct variant variants[] = {
	[SLEEP] = {"sleep", "the receiver sleeps, then reads all"},
	[DRAIN] = {"drain", "the receiver reads at a fixed rate"},
	[EAGER] = {"eager", "the receiver reads at once (control)"},
	[SLOW] = {"slow", "the receiver reads at once behind a slow link of its own"},
	{0}};

static const struct claim claims[] = {
	{"buf-send-copies",
	 "send returns once the data is in the kernel, not once it is delivered"},
	{"buf-send-blocks-full", "send blocks when the send buffer is full"},
	{"buf-peer-full-blocks", "a full receive buffer at the peer blocks the sender"},
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
	 .quick = 300, .unit = OPT_MS},
	{'r', "rate", "what drain reads, and the slow link takes, a second", .num = &rate,
	 .min = 1024, .max = 1 << 30, .unit = OPT_BYTES_PER_S},
	{'n', "total", "what the sender writes", .num = &total, .min = 1, .max = 1 << 30,
	 .quick = 512 << 10, .unit = OPT_BYTES},
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

/* One trial.  What the receiver saw is written by its thread, and read after it was joined. */
struct trial {
	size_t variant;
	struct trace trace;
	int64_t begin_ns; /* CLOCK_MONOTONIC; the times below count from it */
	int64_t granted_sndbuf, granted_rcvbuf;
	int64_t received, misplaced;
	int64_t before_read_bytes; /* accepted by send, when the first recv was called */
	int64_t elapsed_ns;
};

static struct link *cable;   /* the slow link; NULL: there is none */
static const char *no_cable; /* why */

/* Waits until ns after the begin; if a signal comes, wakes whoever is blocked in send or recv. */
static void wait_until(const struct trial *t, double ns)
{
	if (run_sleep_until(t->begin_ns + (int64_t)ns))
		return;
	shutdown(t->trace.fd.tx, SHUT_RDWR);
	shutdown(t->trace.fd.rx, SHUT_RDWR);
}

static void *send_all(void *argument)
{
	struct trial *t = argument;
	uint8_t *buffer = check_alloc(malloc((size_t)write_size));
	int64_t sent = 0;

	while (sent < total && !run_stopped()) {
		size_t length = (size_t)(total - sent < write_size ? total - sent : write_size);
		ssize_t n;

		pattern_fill(buffer, length, (uint64_t)sent);
		n = trace_send(&t->trace, buffer, length);
		if (n < 0 && !run_stopped())
			err(EXIT_USAGE, "send");
		memset(buffer, 0, length); /* the copy in the kernel must not mind */
		sent += n;
	}
	shutdown(t->trace.fd.tx, SHUT_WR);
	free(buffer);
	return NULL;
}

static void *receive_all(void *argument)
{
	struct trial *t = argument;
	uint8_t *buffer = check_alloc(malloc((size_t)write_size));
	ssize_t n;

	if (t->variant == SLEEP)
		wait_until(t, (double)sleep_ms * 1e6);
	t->before_read_bytes = atomic_load(&t->trace.sent);
	while ((n = recv(t->trace.fd.rx, buffer, (size_t)write_size, 0)) > 0) {
		t->misplaced +=
			(int64_t)pattern_misplaced(buffer, (size_t)n, (uint64_t)t->received);
		t->received += n;
		if (t->variant == DRAIN && t->received < total)
			wait_until(t, (double)t->received / (double)rate * 1e9);
	}
	if (n < 0 && !run_stopped())
		err(EXIT_USAGE, "recv");
	free(buffer);
	return NULL;
}

static void measure(struct trial *t)
{
	struct net_ask ask = {sndbuf, t->variant == SLOW ? WIDE : rcvbuf, congestion};
	struct net_pair fd =
		t->variant == SLOW ? link_pair(cable, NET_TCP, ask) : net_pair(NET_TCP, ask);
	pthread_t sender;
	pthread_t receiver;

	t->granted_sndbuf = net_sndbuf(fd.tx);
	t->granted_rcvbuf = net_rcvbuf(fd.rx);
	trace_begin(&t->trace, fd, sample_us * 1000);
	t->begin_ns = t->trace.zero_ns;
	check(pthread_create(&receiver, NULL, receive_all, t), "pthread_create");
	check(pthread_create(&sender, NULL, send_all, t), "pthread_create");
	check(pthread_join(sender, NULL), "pthread_join");
	check(pthread_join(receiver, NULL), "pthread_join");
	t->elapsed_ns = trace_now(&t->trace);
	trace_end(&t->trace);
	net_close(&fd);
}

static void record(struct run *run, const struct trial *t)
{
	const struct trace *trace = &t->trace;
	struct trace_sum sum = trace_sum(trace);
	const struct trace_call *first =
		trace->calls_n ? &trace->calls[0] : &(struct trace_call){0};

	trace_record(trace, run);
	run_record(run, (struct field[]){{"sent_bytes", atomic_load(&trace->sent)},
					 {"missing_bytes", total - t->received},
					 {"misplaced_bytes", t->misplaced},
					 {"granted_sndbuf_bytes", t->granted_sndbuf},
					 {"granted_rcvbuf_bytes", t->granted_rcvbuf},
					 {"calls", (int64_t)trace->calls_n},
					 {"first_call_ns", first->elapsed_ns},
					 {"blocked_calls", sum.blocked_calls},
					 {"blocked_ns", sum.blocked_ns},
					 {"rwnd_limited_ns", sum.rwnd_limited_ns},
					 {"peer_ns", sum.cause_ns[CAUSE_PEER]},
					 {"sndbuf_ns", sum.cause_ns[CAUSE_SNDBUF]},
					 {"network_ns", sum.cause_ns[CAUSE_NETWORK]},
					 {"short_ns", sum.cause_ns[CAUSE_SHORT]},
					 {"untold_ns", sum.cause_ns[CAUSE_UNTOLD]},
					 {"longest_ns", sum.longest_ns},
					 {"longest_wmem_bytes", sum.longest_wmem},
					 {"longest_backoff", sum.longest_backoff},
					 {"before_read_bytes", t->before_read_bytes},
					 {"elapsed_ns", t->elapsed_ns},
					 {0}});
}

/* --- report -------------------------------------------------------------- */

static struct trial shown[VARIANTS]; /* each variant's first trial, for the picture */

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
	} parts[] = {{"peer_ns", CAUSE_PEER},
		     {"sndbuf_ns", CAUSE_SNDBUF},
		     {"network_ns", CAUSE_NETWORK},
		     {"short_ns", CAUSE_SHORT},
		     {"untold_ns", CAUSE_UNTOLD}};
	double blocked = run_sum(run, variant, "blocked_ns");
	double most = 0;
	enum cause cause = CAUSE_NONE;

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		double part = run_sum(run, variant, parts[i].field);

		if (part > most) {
			most = part;
			cause = parts[i].cause;
		}
	}
	return run_median(run, variant, "blocked_calls") > 0
		       ? text_format("%s %s", cause_names[cause], text_share(most / blocked))
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
		if (run_selected(run, v) && !(v == SLOW && no_cable))
			fprintf(out, "  %-8s %6zu %6.0f %8.0f %12s %10s  %s\n", variants[v].name,
				run_values(run, v, "calls").n, run_median(run, v, "calls"),
				run_median(run, v, "blocked_calls"),
				ms(run_median(run, v, "blocked_ns")),
				ms(run_median(run, v, "longest_ns")), main_cause(run, v));
}

static void judge_send(struct run *run)
{
	double accepted = run_median(run, SLEEP, "before_read_bytes");
	double first = run_median(run, SLEEP, "first_call_ns");
	double stall = run_median(run, SLEEP, "longest_ns");
	double blocked = run_median(run, SLEEP, "blocked_ns");
	double peer = run_median(run, SLEEP, "rwnd_limited_ns");
	double slow = run_sum(run, SLOW, "blocked_ns");
	double slow_peer = run_sum(run, SLOW, "rwnd_limited_ns");
	double share = blocked / (double)(sleep_ms * 1000000);
	double wmem = stats_quantile(run_values(run, SLEEP, "longest_wmem_bytes"), 0);
	double granted = run_median(run, SLEEP, "granted_sndbuf_bytes");
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
	run_verdict(
		run, "buf-peer-full-blocks", peer >= stall / 2 ? HOLDS : NOT_SEEN,
		(struct field[]){{"rwnd_limited_ns", (int64_t)peer},
				 {"blocked_ns", (int64_t)blocked},
				 {"slow_link_rwnd_limited_ns", (int64_t)slow_peer},
				 {"slow_link_blocked_ns", (int64_t)slow},
				 {0}},
		"TCP_INFO, to a tick of %s: held up by the peer's window for %s of the %s blocked; "
		"the window probes' timer doubled %.0f times%s",
		ms((double)span_tick()), ms(peer), ms(blocked),
		run_median(run, SLEEP, "longest_backoff"),
		slow > 0 ? text_format(". Behind a slow link: for %s of %s",
				       slow_peer > 0 ? ms(slow_peer) : "none", ms(slow))
			 : "");
}

static void report(struct run *run)
{
	FILE *out = run_out(run);

	print_table(run);
	for (size_t v = 0; v < VARIANTS; v++)
		if (v != EAGER) {
			fputs("\n", out);
			trace_draw(&shown[v].trace, out, variants[v].name);
		}
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
	run_why(run,
		"send only copies into the kernel's buffer. What the receiver does not read "
		"stays in its own; when that is full its window closes, the send buffer fills, "
		"and send waits.");
	for (size_t v = 0; v < VARIANTS; v++)
		trace_free(&shown[v].trace);
	if (no_cable)
		run_note(run, "no slow link, so the variant slow was left out: %s", no_cable);
}

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);

	if (run_selected(run, SLOW))
		cable = link_open((struct link_ask){.rate = rate}, &no_cable);
	while (run_next(run)) {
		struct trial t = {.variant = run_variant(run)};

		if (t.variant == SLOW && !cable)
			continue;
		measure(&t);
		record(run, &t);
		if (run_trial(run) == 0)
			shown[t.variant] = t;
		else
			trace_free(&t.trace);
	}
	if (cable)
		link_close(cable);
	return run_end(run, report);
}
