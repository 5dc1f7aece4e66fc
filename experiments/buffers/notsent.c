/* SPDX-License-Identifier: MIT */
/*
 * notsent - does what is written when poll says POLLOUT go out soon?
 *
 * A sender writes as much as it may, 4 KiB whenever poll says POLLOUT, to a connection whose link is
 * slower.  Each write is stamped, and the receiver says how late it came.  The link, not a CPU, is what
 * everything waits for; it is a cable between two network namespaces (link.h).
 *
 *	large, small, default  send buffers: POLLOUT comes when a third is free, and what is written then
 *	                       waits behind all that is in it;
 *	large-lowat ...        the same ones with TCP_NOTSENT_LOWAT: POLLOUT comes when less than that
 *	                       waits to be sent.
 *
 * The queue before the link is short, so most of what waits is in the send buffer and not sent yet.  How
 * many bytes a write finds before it there is told by the kernel, so that decides on a busy machine as
 * well; and a write behind many of them cannot come early.
 */
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "check.h"
#include "exp.h"
#include "judge.h"
#include "link.h"
#include "messages.h"
#include "net.h"
#include "span.h"
#include "team.h"

enum { LARGE, LARGE_LOWAT, SMALL, SMALL_LOWAT, DEFAULT, DEFAULT_LOWAT };
enum { STAMPS = 256 };     /* a write is this many messages with the same stamp */
enum { QUEUE = 16 << 10 }; /* before the link, bytes: the rest must wait in the send buffer */

static const int64_t wide = 1 << 20; /* SO_RCVBUF, bytes: it never fills */

struct buffer {
	int64_t sndbuf; /* to ask for, bytes; 0 = the default */
	bool lowat;
};

static const struct variant variants[] = {
	[LARGE] = {"large", "SO_SNDBUF 128 KiB", &(const struct buffer){128 << 10, false}},
	[LARGE_LOWAT] = {"large-lowat", "the same with TCP_NOTSENT_LOWAT",
			 &(const struct buffer){128 << 10, true}},
	[SMALL] = {"small", "SO_SNDBUF 32 KiB", &(const struct buffer){32 << 10, false}},
	[SMALL_LOWAT] = {"small-lowat", "the same with TCP_NOTSENT_LOWAT",
			 &(const struct buffer){32 << 10, true}},
	[DEFAULT] = {"default", "the send buffer that TCP chooses, and makes larger",
		     &(const struct buffer){0, false}},
	[DEFAULT_LOWAT] = {"default-lowat", "the same with TCP_NOTSENT_LOWAT",
			   &(const struct buffer){0, true}},
	{0}};

static const struct claim claims[] = {
	{"buf-notsent-lowat", "POLLOUT means that what is written goes out soon",
	 "large=large-lowat", HOLDS,
	 .why = {[DEPENDS] =
			 "POLLOUT says that there is room in the send buffer, which is a queue: what is written goes behind all that is in it. With TCP_NOTSENT_LOWAT it comes only when less than that waits to be sent, however large the buffer is, and the link is as busy."}},
	{0}};

static const struct row_field fields[] = {
	{"granted_sndbuf_bytes", "SO_SNDBUF at the end", "SO_SNDBUF"},
	{"ahead_bytes", "not acknowledged when POLLOUT came, median of the second half",
	 "ahead at|POLLOUT"},
	{"unsent_bytes", "of these, not sent", "not|sent"},
	{"late_ns", "from a write to its arrival, median of the second half", "arrives|after"},
	{"buffer_ns", "SO_SNDBUF over the rate: what the link takes for a full buffer"},
	{"waits", "of the sender for POLLOUT: it slept"},
	{"received_bytes", "in all", "received|a second", SHOW_SUM, "elapsed_ns"},
	{"elapsed_ns", "from the first write to the last arrival"},
	{"missing_messages", "written and not received", .zero = true, .sham = "lose"},
	{"misplaced_messages", "received where another belongs", .zero = true, .sham = "disorder"},
	{0}};

static const struct bound bounds[] = {
	{"soon_share", 0.33333,
	 "of a full send buffer: POLLOUT alone comes when two thirds are used, and half of that is far from both"},
	{"enough_trials", 3, "whether the sender is faster than the link is no matter of chance"},
	{0}};

static int64_t rate = 4 << 20;
static int64_t total = 384 << 10;
static int64_t lowat = 8 << 10;

static const struct opt opts[] = {{'r', "rate", "of the link", .num = &rate, .min = 256 << 10,
				   .max = 64 << 20, .quick = 12 << 20, .unit = OPT_BYTES_PER_S},
				  {'n', "total", "what is written", .num = &total, .min = 256 << 10,
				   .max = 64 << 20, .unit = OPT_BYTES},
				  {0, "lowat", "TCP_NOTSENT_LOWAT", .num = &lowat, .min = 1024,
				   .max = 128 << 10, .unit = OPT_BYTES},
				  {0}};

static struct link *cable;

/* --- one trial ----------------------------------------------------------- */

struct trial {
	struct messages m;
	int64_t writes;
	int64_t waits;           /* for POLLOUT */
	int64_t *ahead, *unsent; /* bytes, when POLLOUT came for each */
};

static int64_t unsent(int fd)
{
	int bytes = 0;

	check_fd(ioctl(fd, SIOCOUTQNSD, &bytes), "SIOCOUTQNSD");
	return bytes;
}

/* False if the run was stopped. */
static bool await_room(struct trial *t)
{
	int64_t sleeps = span_sleeps();
	bool room = run_wait_fd(t->m.fd.tx, POLLOUT, INT64_MAX);

	t->waits += span_sleeps() > sleeps;
	return room;
}

/* All of them, of which a non-blocking send may take a part only; false likewise. */
static bool write_stamps(struct trial *t, const struct message stamps[STAMPS])
{
	const char *bytes = (const char *)stamps;
	size_t left = STAMPS * sizeof(*stamps);

	while (left > 0) {
		ssize_t n = net_send_now(t->m.fd.tx, bytes, left);

		if (n < 0 && !await_room(t))
			return false;
		bytes += n > 0 ? n : 0;
		left -= n > 0 ? (size_t)n : 0;
	}
	return true;
}

static void send_all(void *argument)
{
	struct trial *t = argument;
	struct message stamps[STAMPS];

	for (int64_t i = 0; i < t->writes && await_room(t); i++) {
		int64_t now_ns = span_now();

		t->ahead[i] = net_outq(t->m.fd.tx);
		t->unsent[i] = unsent(t->m.fd.tx);
		for (int64_t k = 0; k < STAMPS; k++)
			stamps[k] = (struct message){i * STAMPS + k, now_ns};
		if (!write_stamps(t, stamps))
			break;
	}
	check_fd(shutdown(t->m.fd.tx, SHUT_WR), "shutdown");
}

static void receive_all(void *argument)
{
	struct trial *t = argument;

	while (messages_left(&t->m))
		messages_recv(&t->m, 0);
}

/* The median of the second half: before, the send buffer is not full yet. */
static int64_t settled(int64_t *values, int64_t n) /* NOLINT(readability-non-const-parameter) */
{
	struct values half = {.at = values + n / 2, .n = (size_t)(n - n / 2)};

	return (int64_t)stats_quantile(half, 0.5);
}

static void record(struct run *run, struct trial *t, int64_t elapsed_ns)
{
	int64_t granted = net_sndbuf(t->m.fd.tx);
	int64_t missing = t->writes * STAMPS - t->m.got;

	run_record(run, (struct field[]){
				{"granted_sndbuf_bytes", granted},
				{"ahead_bytes", settled(t->ahead, t->writes)},
				{"unsent_bytes", settled(t->unsent, t->writes)},
				{"late_ns", settled(t->m.late_ns, t->m.got)},
				{"buffer_ns", granted * 1000000000 / rate},
				{"waits", t->waits},
				{"received_bytes", t->m.got * (int64_t)sizeof(struct message)},
				{"elapsed_ns", elapsed_ns},
				{"missing_messages", missing + run_sham(run, "lose")},
				{"misplaced_messages", t->m.misplaced + run_sham(run, "disorder")},
				{0}});
}

static void measure(struct run *run, const struct buffer *buffer)
{
	struct trial t = {.writes = total / (int64_t)(STAMPS * sizeof(struct message))};
	struct net_ask ask = {.sndbuf = buffer->sndbuf, .rcvbuf = wide};
	struct team team;
	struct span all;

	messages_begin_with(&t.m, t.writes * STAMPS, link_pair(cable, NET_TCP, ask));
	t.ahead = check_alloc(calloc((size_t)t.writes, sizeof(*t.ahead)));
	t.unsent = check_alloc(calloc((size_t)t.writes, sizeof(*t.unsent)));
	if (buffer->lowat)
		net_set(t.m.fd.tx, IPPROTO_TCP, TCP_NOTSENT_LOWAT, (int)lowat);
	team_start_two(&team, TEAM_FREE, send_all, receive_all, &t);
	all = team_join(&team);
	if (!run_stopped())
		record(run, &t, span_wall(&all));
	free(t.ahead);
	free(t.unsent);
	messages_end(&t.m);
}

/* --- judge --------------------------------------------------------------- */

static struct interval share_of_buffer(struct run *run, size_t variant, const char *field,
				       const char *buffer)
{
	return run_ratio(run, run_values(run, variant, field), run_values(run, variant, buffer));
}

static void judge(struct run *run)
{
	double soon = run_bound(run, "soon_share");
	int64_t enough = (int64_t)run_bound(run, "enough_trials");
	struct share faster = run_nonzero(run, LARGE, "waits");
	struct interval plain = share_of_buffer(run, LARGE, "ahead_bytes", "granted_sndbuf_bytes");
	struct interval late = share_of_buffer(run, LARGE, "late_ns", "buffer_ns");
	struct interval with =
		share_of_buffer(run, LARGE_LOWAT, "ahead_bytes", "granted_sndbuf_bytes");

	run_judge(
		run, "buf-notsent-lowat",
		only_if(always_happens(faster, enough),
			by_case(is_below(with, soon),
				any_of(is_below(plain, soon), is_below(late, soon)))),
		"when POLLOUT came {plain} of a send buffer of {granted_bytes} was used, and what was written then arrived after {late_ns}, {late} of the time that the link takes for a full one; with TCP_NOTSENT_LOWAT of {lowat_bytes} {with} was used, and it arrived after {soon_ns}",
		number_interval("plain", plain),
		number_real("granted_bytes", run_median(run, LARGE, "granted_sndbuf_bytes")),
		number_real("late_ns", run_median(run, LARGE, "late_ns")),
		number_interval("late", late), number_int("lowat_bytes", lowat),
		number_interval("with", with),
		number_real("soon_ns", run_median(run, LARGE_LOWAT, "late_ns")));
}

static const struct experiment about = {
	.name = "notsent",
	.group = "buffers",
	.order = 317,
	.summary = "Does what is written when poll says POLLOUT go out soon?",
	.intro =
		"4 KiB are written whenever POLLOUT comes, {total_bytes} in all, over a link of {rate_bytes_per_s}; TCP_NOTSENT_LOWAT is {lowat_bytes}.",
	.claims = claims,
	.fields = fields,
	.bounds = bounds,
	.opts = opts,
	.variants = variants,
	.trials = 7,
	.quick_trials = 7,
	.limit_s = 600,
	.judge = judge,
};

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);
	const char *no_cable;
	int status;

	cable = link_open((struct link_ask){.rate = rate, .queue = QUEUE}, &no_cable);
	if (!cable)
		return run_skip(run, "there can be no slow link: %s", no_cable);
	while (run_next(run))
		measure(run, run_how(run));
	status = run_end(run);
	link_close(cable);
	return status;
}
