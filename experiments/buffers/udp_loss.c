/* SPDX-License-Identifier: MIT */
/*
 * udp_loss - where does UDP lose datagrams, who is told, and when does it block instead?
 *
 * A burst is sent to, or through, each place where datagrams can get lost:
 *
 *	receiver     nobody reads, and the receive buffer overflows;
 *	queue        the queue in front of a slow link overflows;
 *	queue-told   the same, and the sender asked to be told (IP_RECVERR);
 *	no-listener  nobody is bound to the port.
 *
 * And to one where none is:
 *
 *	slow-link    a slow link and a send buffer smaller than its queue: send blocks.
 *
 * The link is a cable between two network namespaces (link.h); without it those are skipped.
 */
#include <err.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "exp.h"
#include "old.h"
#include "link.h"
#include "net.h"
#include "span.h"
#include "text.h"

enum { RECEIVER, SLOW_LINK, QUEUE, QUEUE_TOLD, NO_LISTENER, VARIANTS };
enum { DATAGRAM = 1000, LINK_QUEUE = 32 << 10, SMALL = 4 << 10, LARGE = 1 << 20, MS = 1000000 };

static const struct variant variants[] = {
	[RECEIVER] = {"receiver", "nobody reads: the receive buffer overflows"},
	[SLOW_LINK] = {"slow-link", "a slow link and a small send buffer: send blocks"},
	[QUEUE] = {"queue", "a slow link whose queue overflows"},
	[QUEUE_TOLD] = {"queue-told", "the same, and the sender asked to be told (IP_RECVERR)"},
	[NO_LISTENER] = {"no-listener", "nobody is bound to the port"},
	{0}};

static const struct claim claims[] = {{"buf-udp-loses", "UDP loses datagrams instead of blocking"},
				      {0}};

static int64_t link_rate = 2 << 20;
static int64_t burst = 300;

static const struct opt opts[] = {{0, "link-rate", "of the slow link", .num = &link_rate,
				   .min = 64 << 10, .max = 1 << 30, .unit = OPT_BYTES_PER_S},
				  {'n', "burst", "datagrams sent at once", .num = &burst, .min = 50,
				   .max = 100000, .quick = 100},
				  {0}};

static const struct experiment about = {
	.name = "udp_loss",
	.group = "buffers",
	.summary = "Where does UDP lose datagrams, and when does it block instead?",
	.claims = claims,
	.opts = opts,
	.variants = variants,
	.trials = 2,
	.quick_trials = 1,
};

static struct link *cable;   /* NULL = not allowed here, */
static const char *no_cable; /* and why */

static bool on_link(size_t variant)
{
	return variant >= SLOW_LINK && variant <= QUEUE_TOLD;
}

/* --- one burst ----------------------------------------------------------- */

/* What became of the calls, and of the datagrams. */
struct trial {
	int64_t sent;                        /* send said that it was sent */
	int64_t again, no_buffers, refused;  /* send said EAGAIN, ENOBUFS, ECONNREFUSED */
	int64_t blocked_calls, blocked_ns;   /* send slept */
	int64_t arrived;                     /* at the receiver */
	int64_t receiver_drops, queue_drops; /* that the kernel counted */
};

static struct net_pair pair_for(size_t variant)
{
	struct net_ask ask = {variant == SLOW_LINK ? SMALL : LARGE,
			      variant == RECEIVER ? SMALL : LARGE, NULL};
	struct net_pair fd =
		on_link(variant) ? link_pair(cable, NET_UDP, ask) : net_pair(NET_UDP, ask);

	if (variant == NO_LISTENER) {
		close(fd.rx);
		fd.rx = -1;
	}
	net_set(fd.tx, IPPROTO_IP, IP_RECVERR, variant == QUEUE_TOLD);
	return fd;
}

static void send_one(struct trial *t, int fd, int flags)
{
	static const uint8_t bytes[DATAGRAM];
	int64_t sleeps = span_sleeps();
	int64_t begin_ns = span_now();
	ssize_t sent = send(fd, bytes, DATAGRAM, flags);
	int error = sent < 0 ? errno : 0;

	if (span_sleeps() > sleeps) {
		t->blocked_calls++;
		t->blocked_ns += span_now() - begin_ns;
	}
	t->sent += error == 0;
	t->again += error == EAGAIN;
	t->no_buffers += error == ENOBUFS;
	t->refused += error == ECONNREFUSED;
	if (error && error != EAGAIN && error != ENOBUFS && error != ECONNREFUSED)
		err(EXIT_USAGE, "send");
}

/* Reads all there is; how many datagrams. */
static int64_t drain(int fd)
{
	uint8_t bytes[DATAGRAM];
	int64_t datagrams = 0;

	while (net_recv_now(fd, bytes, sizeof(bytes)) >= 0)
		datagrams++;
	return datagrams;
}

/* What the queue in front of the link has dropped since there is the link. */
static int64_t queue_drops(void)
{
	const char *said =
		strstr(link_run(cable, LINK_TX, "tc -s qdisc show dev cable"), "(dropped ");

	if (!said)
		errx(EXIT_USAGE, "tc tells of no dropped datagrams");
	return strtoll(said + strlen("(dropped "), NULL, 10);
}

/*
 * Reads until no more comes: soon after the last one that is not accounted for yet.  What the queue
 * drops can be another protocol's, so its count alone does not say that all have come.
 */
static void collect(struct trial *t, int rx)
{
	int64_t frame_ns = 1000000000LL * DATAGRAM / link_rate;
	int64_t quiet_ns = span_now();
	int64_t patience_ns;

	do {
		int64_t more = drain(rx);

		t->arrived += more;
		t->receiver_drops = net_memory(rx).drops;
		if (more)
			quiet_ns = span_now();
		patience_ns = 4 * frame_ns + 20LL * MS;
		if (t->arrived + t->receiver_drops + t->queue_drops < t->sent + t->no_buffers)
			patience_ns += 200LL * MS;
	} while (span_now() < quiet_ns + patience_ns && run_sleep_until(span_now() + MS));
}

static struct trial send_burst(size_t variant, const struct net_pair *fd)
{
	struct trial t = {0};
	int64_t drops = 0;

	if (on_link(variant))
		drops = queue_drops();
	for (int64_t i = 0; i < burst && !run_stopped(); i++)
		send_one(&t, fd->tx, 0);
	for (int i = 0; variant == SLOW_LINK && i < 10; i++)
		send_one(&t, fd->tx, MSG_DONTWAIT);
	if (on_link(variant))
		t.queue_drops = queue_drops() - drops;
	if (fd->rx >= 0)
		collect(&t, fd->rx);
	return t;
}

static void measure(struct run *run, size_t variant)
{
	struct net_pair fd = pair_for(variant);
	struct trial t = send_burst(variant, &fd);

	run_record(run, (struct field[]){{"sent_datagrams", t.sent},
					 {"eagain_calls", t.again},
					 {"enobufs_calls", t.no_buffers},
					 {"econnrefused_calls", t.refused},
					 {"blocked_calls", t.blocked_calls},
					 {"blocked_ns", t.blocked_ns},
					 {"arrived_datagrams", t.arrived},
					 {"lost_datagrams", t.sent + t.no_buffers - t.arrived},
					 {"receiver_drops", t.receiver_drops},
					 {"queue_drops", t.queue_drops},
					 {"granted_sndbuf_bytes", net_sndbuf(fd.tx)},
					 {0}});
	net_close(&fd);
}

/* --- report -------------------------------------------------------------- */

/* What the sender was told, in a few words. */
static const char *told(struct run *run, size_t variant)
{
	static const struct {
		const char *field, *what;
	} errors[] = {{"eagain_calls", "EAGAIN"},
		      {"enobufs_calls", "ENOBUFS"},
		      {"econnrefused_calls", "ECONNREFUSED"}};

	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
		if (run_median(run, variant, errors[i].field) > 0)
			return text_format("%s %.0fx", errors[i].what,
					   run_median(run, variant, errors[i].field));
	return "nothing";
}

/* Who dropped what, as the kernel counted. */
static const char *dropped_by(struct run *run, size_t variant)
{
	double receiver = run_median(run, variant, "receiver_drops");
	double queue = run_median(run, variant, "queue_drops");

	if (variant == NO_LISTENER)
		return "no socket";
	if (receiver > 0)
		return text_format("receiver %.0f", receiver);
	return queue > 0 ? text_format("queue %.0f", queue) : "-";
}

static void print_table(struct run *run)
{
	FILE *out = run_out(run);

	fprintf(out, "  %-11s %6s %8s %8s %6s  %-12s  %s\n", "where", "sent", "blocked", "arrived",
		"lost", "dropped by", "sender was told");
	for (size_t v = 0; v < VARIANTS; v++) {
		double blocked = run_median(run, v, "blocked_ns");

		if (run_values(run, v, "sent_datagrams").n == 0)
			continue;
		fprintf(out, "  %-11s %6.0f %8s %8.0f %6.0f  %-12s  %s\n", variants[v].name,
			run_median(run, v, "sent_datagrams"),
			blocked > 0 ? text_time(blocked) : "-",
			run_median(run, v, "arrived_datagrams"),
			run_median(run, v, "lost_datagrams"), dropped_by(run, v), told(run, v));
	}
	fputs("\n", out);
}

static void check_control(struct run *run)
{
	for (size_t v = 0; v < VARIANTS; v++) {
		struct values lost = run_values(run, v, "lost_datagrams");

		old_control(run, lost.n == 0 || stats_quantile(lost, 0) >= 0,
			    "%s: more arrived than was sent", variants[v].name);
	}
}

static void judge(struct run *run)
{
	double receiver = run_sum(run, RECEIVER, "lost_datagrams");
	double queue =
		run_sum(run, QUEUE, "lost_datagrams") + run_sum(run, QUEUE_TOLD, "lost_datagrams");
	double blocked = run_sum(run, SLOW_LINK, "blocked_calls");
	double slow_lost = run_sum(run, SLOW_LINK, "lost_datagrams");
	bool loses = receiver > 0 || queue > 0;
	bool blocks = blocked > 0 && slow_lost == 0;

	if (!loses && !blocks)
		return;
	old_verdict(run, "buf-udp-loses",
		    loses && blocks ? DEPENDS
		    : loses         ? HOLDS
				    : REFUTED,
		    (struct field[]){{"receiver_lost_datagrams", (int64_t)receiver},
				     {"queue_lost_datagrams", (int64_t)queue},
				     {"slow_link_blocked_calls", (int64_t)blocked},
				     {"slow_link_lost_datagrams", (int64_t)slow_lost},
				     {0}},
		    "%s%s%s",
		    receiver > 0 ? text_format("a full receiver lost %s datagrams; ",
					       text_count((int64_t)receiver))
				 : "",
		    queue > 0 ? text_format("a full queue before a slow link lost %s; ",
					    text_count((int64_t)queue))
			      : "",
		    blocks ? text_format("a small send buffer before a slow link made send wait "
					 "instead (%.0f calls), and nothing was lost",
					 blocked)
			   : "where send blocks instead was not tested");
}

static void report(struct run *run)
{
	print_table(run);
	check_control(run);
	judge(run);
	old_why(run,
		"the send buffer holds a datagram only until it has left this host, and on "
		"loopback that is at once: send has nothing to wait for. UDP has no window, so "
		"a full receiver, or queue, drops.");
	if (no_cable)
		old_note(run, "slow-link, queue and queue-told are skipped: %s.", no_cable);
}

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);

	if (run_selected(run, SLOW_LINK) || run_selected(run, QUEUE) ||
	    run_selected(run, QUEUE_TOLD))
		cable = link_open((struct link_ask){.rate = link_rate, .queue = LINK_QUEUE},
				  &no_cable);
	if (!cable && !run_selected(run, RECEIVER) && !run_selected(run, NO_LISTENER))
		return run_skip(run, "%s", no_cable);
	while (run_next(run))
		if (cable || !on_link(run_variant(run)))
			measure(run, run_variant(run));
	if (cable)
		link_close(cable);
	return old_end(run, report);
}
