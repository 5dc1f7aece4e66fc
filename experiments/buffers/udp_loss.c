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
 * The link is a cable between two network namespaces (link.h); without it those are skipped.  To
 * another host (peer.h) it is the link that there is, whose queue nobody can ask.
 */
#include <err.h>
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "exp.h"
#include "judge.h"
#include "link.h"
#include "net.h"
#include "peer.h"
#include "span.h"

enum { RECEIVER, SLOW_LINK, QUEUE, QUEUE_TOLD, NO_LISTENER };
enum { DATAGRAM = 1000, LINK_QUEUE = 32 << 10, SMALL = 4 << 10, LARGE = 1 << 20, MS = 1000000 };
/* Datagrams to another host, ten more beside: 416 KiB, granted by default, hold them, 4 KiB each. */
enum { MOST_REMOTE = 90 };

struct place {
	int64_t sndbuf, rcvbuf; /* bytes to ask for */
	bool link;              /* over the slow link */
	bool recverr;           /* the sender asks to be told */
	bool closed;            /* nobody is bound to the port */
};

static const struct variant variants[] = {
	[RECEIVER] = {"receiver", "nobody reads: the receive buffer overflows",
		      &(const struct place){LARGE, SMALL}},
	[SLOW_LINK] = {"slow-link", "a slow link and a small send buffer: send blocks",
		       &(const struct place){SMALL, LARGE, .link = true}},
	[QUEUE] = {"queue", "a slow link whose queue overflows",
		   &(const struct place){LARGE, LARGE, .link = true}},
	[QUEUE_TOLD] = {"queue-told", "the same, and the sender asked to be told (IP_RECVERR)",
			&(const struct place){LARGE, LARGE, .link = true, .recverr = true}},
	[NO_LISTENER] = {"no-listener", "nobody is bound to the port",
			 &(const struct place){LARGE, LARGE, .closed = true}},
	{0}};

static const struct claim claims[] = {
	{"buf-udp-loses", "UDP loses datagrams instead of blocking", "slow-link=receiver", HOLDS,
	 .why = {[DEPENDS] =
			 "the send buffer holds a datagram only until it has left this host, and on loopback that is at once: send has nothing to wait for. UDP has no window, so a full receiver, or queue, drops."}},
	{0}};

static const struct row_field fields[] = {
	{"sent_datagrams", "that send said were sent", "sent"},
	{"blocked_calls", "of send: it slept"},
	{"blocked_ns", "in these", "blocked"},
	{"arrived_datagrams", "at the receiver", "arrived"},
	{"lost_datagrams", "of those that send took, ENOBUFS included", "lost"},
	{"loses",
	 "1: datagrams were lost and no call slept, 0: a call slept; absent if neither: nothing was full"},
	{"receiver_drops", "counted by the receiver", "by the|receiver"},
	{"queue_drops", "counted by the queue before the link", "by the|queue"},
	{"eagain_calls", "of send", "EAGAIN"},
	{"enobufs_calls", "of send", "ENOBUFS"},
	{"econnrefused_calls", "of send", "ECONN-|REFUSED"},
	{"doubled_datagrams", "that arrived beyond those that were sent", .zero = true,
	 .sham = "double"},
	{"granted_sndbuf_bytes", "SO_SNDBUF"},
	{0}};

static const struct bound bounds[] = {
	{"enough_bursts", 2, "each is of 50 datagrams or more, where a few fit"}, {0}};

static int64_t link_rate = 2 << 20;
static int64_t burst = 300;

static const struct opt opts[] = {{0, "link-rate", "of the slow link", .num = &link_rate,
				   .min = 64 << 10, .max = 1 << 30, .unit = OPT_BYTES_PER_S},
				  {'n', "burst",
				   "datagrams sent at once; to another host 90 at most",
				   .num = &burst, .min = 50, .max = 100000, .quick = 100},
				  {0}};

static struct link *cable;   /* NULL = not allowed here, */
static const char *no_cable; /* and why */

static struct peer *far;

/* What the receiver saw. */
struct seen {
	int64_t arrived; /* datagrams */
	int64_t drops;   /* counted by its socket */
};

/* What became of the calls, and of the datagrams. */
struct trial {
	int64_t sent;                       /* send said that it was sent */
	int64_t again, no_buffers, refused; /* send said EAGAIN, ENOBUFS, ECONNREFUSED */
	int64_t blocked_calls, blocked_ns;  /* send slept */
	int64_t queue_drops;                /* counted by the kernel */
	int64_t granted_sndbuf;
	struct seen seen;
};

/* --- the receiver: the far half ---------------------------------------------- */

/* Reads all there is; how many datagrams. */
static int64_t drain(int fd)
{
	uint8_t bytes[DATAGRAM];
	int64_t datagrams = 0;

	while (net_recv_now(fd, bytes, sizeof(bytes)) >= 0)
		datagrams++;
	return datagrams;
}

/*
 * Reads until no more comes: nothing is there long after the last one that is not accounted for yet.
 * What the queue drops can be another protocol's, so the count of those that are due does not say
 * that all have come.
 */
static struct seen collect(int fd, int64_t due)
{
	int64_t frame_ns = 1000000000LL * DATAGRAM / link_rate;
	int64_t quiet_ns = span_now();
	int64_t patience_ns, now_ns;
	struct seen seen = {0};

	do {
		int64_t more;

		now_ns = span_now(); /* before the look: whoever wakes late looks once more */
		more = drain(fd);
		seen.arrived += more;
		seen.drops = net_memory(fd).drops;
		if (more)
			quiet_ns = span_now();
		patience_ns = 4 * frame_ns + 20LL * MS;
		if (seen.arrived + seen.drops < due)
			patience_ns += 200LL * MS;
	} while (now_ns < quiet_ns + patience_ns && run_sleep_until(span_now() + MS));
	return seen;
}

/* Reads nothing before the burst is over, and closes its socket before it begins if told so. */
static void receive(struct peer *near)
{
	struct seen seen = {0};
	int64_t closed, due;
	int fd;

	peer_hear(near, &closed, sizeof(closed));
	fd = peer_accept(near);
	if (closed)
		close(fd);
	peer_say(near, NULL, 0);
	peer_hear(near, &due, sizeof(due));
	if (!closed) {
		seen = collect(fd, due);
		close(fd);
	}
	peer_say(near, &seen, sizeof(seen));
}

static void (*const halves[])(struct peer *near) = {receive, NULL};

/* --- the sender -------------------------------------------------------------- */

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
		peer_failed("send");
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

static int connect_to_receiver(const struct place *place)
{
	struct net_pair fd = peer_connect(far, place->link ? cable : NULL, NET_UDP,
					  (struct net_ask){place->sndbuf, place->rcvbuf, NULL});

	if (fd.rx >= 0)
		close(fd.rx); /* the far half has a descriptor of its own */
	net_set(fd.tx, IPPROTO_IP, IP_RECVERR, place->recverr);
	return fd.tx;
}

static void send_burst(struct trial *t, const struct place *place, int fd)
{
	int64_t drops = 0;

	if (place->link && cable)
		drops = queue_drops();
	for (int64_t i = 0; i < burst && !run_stopped(); i++)
		send_one(t, fd, 0);
	/* the send buffer is full now: what does a call say that must not wait? */
	for (int i = 0; place->sndbuf == SMALL && i < 10; i++)
		send_one(t, fd, MSG_DONTWAIT);
	/* from another host an error comes later: to the next call */
	if (place->closed && !t->refused && run_wait_fd(fd, POLLERR, span_now() + 1000LL * MS))
		send_one(t, fd, 0);
	if (place->link && cable)
		t->queue_drops = queue_drops() - drops;
	while (net_outq(fd) > 0 && run_sleep_until(span_now() + MS))
		; /* until all have left this host */
}

static struct trial send_and_collect(const struct place *place)
{
	int64_t closed = place->closed, due;
	struct trial t = {0};
	int fd;

	peer_begin(far, receive, TEAM_FREE);
	peer_say(far, &closed, sizeof(closed));
	fd = connect_to_receiver(place);
	peer_hear(far, NULL, 0);
	send_burst(&t, place, fd);
	due = t.sent + t.no_buffers - t.queue_drops;
	peer_say(far, &due, sizeof(due));
	peer_hear(far, &t.seen, sizeof(t.seen));
	peer_end(far);
	t.granted_sndbuf = net_sndbuf(fd);
	close(fd);
	return t;
}

static void measure(struct run *run, const struct place *place)
{
	struct trial t = send_and_collect(place);
	int64_t lost;

	t.seen.arrived += (run_sham(run, "double") ? 2 * burst : 0);
	lost = t.sent + t.no_buffers - t.seen.arrived;
	run_record(run, (struct field[]){{"sent_datagrams", t.sent},
					 {"eagain_calls", t.again},
					 {"enobufs_calls", t.no_buffers},
					 {"econnrefused_calls", t.refused},
					 {"blocked_calls", t.blocked_calls},
					 {"blocked_ns", t.blocked_ns},
					 {"arrived_datagrams", t.seen.arrived},
					 {"lost_datagrams", lost},
					 {"doubled_datagrams", lost < 0 ? -lost : 0},
					 {"receiver_drops", t.seen.drops},
					 {"queue_drops", t.queue_drops},
					 {"granted_sndbuf_bytes", t.granted_sndbuf},
					 {lost > 0 || t.blocked_calls > 0 ? "loses" : NULL,
					  t.blocked_calls == 0},
					 {0}});
}

/* --- judge --------------------------------------------------------------- */

static void judge(struct run *run)
{
	int64_t enough = (int64_t)run_bound(run, "enough_bursts");
	struct share receiver = run_nonzero(run, RECEIVER, "loses");
	struct share slow = run_nonzero(run, SLOW_LINK, "loses");
	enum verdict here = always_happens(receiver, enough);
	enum verdict there = always_happens(slow, enough);

	if (peer_remote(far)) {
		struct share drops = run_nonzero(run, RECEIVER, "receiver_drops");

		run_judge(
			run, "buf-udp-loses",
			by_case(only_if(always_happens(drops, enough), here), there),
			"a full receiver on another host lost datagrams, and no send waited, in {receiver} bursts; with a small send buffer before the link there that was so in {slow}: {blocked} calls waited and {lost} datagrams were lost",
			number_share("receiver", receiver), number_share("slow", slow),
			number_real("blocked", run_sum(run, SLOW_LINK, "blocked_calls")),
			number_real("lost", run_sum(run, SLOW_LINK, "lost_datagrams")));
		return;
	}
	run_judge(
		run, "buf-udp-loses", by_case(here, there),
		"a full receiver lost datagrams, and no send waited, in {receiver} bursts; before a slow link with a small send buffer that was so in {slow}: there {blocked} calls waited and {lost} datagrams were lost",
		number_share("receiver", receiver), number_share("slow", slow),
		number_real("blocked", run_sum(run, SLOW_LINK, "blocked_calls")),
		number_real("lost", run_sum(run, SLOW_LINK, "lost_datagrams")));
	if (run_selected(run, QUEUE) && run_selected(run, QUEUE_TOLD))
		run_note(
			run,
			"the full queue before a slow link lost {silent} datagrams and send said nothing; with IP_RECVERR it lost {lost}, and {told} calls failed with ENOBUFS",
			number_real("silent", run_sum(run, QUEUE, "lost_datagrams")),
			number_real("lost", run_sum(run, QUEUE_TOLD, "lost_datagrams")),
			number_real("told", run_sum(run, QUEUE_TOLD, "enobufs_calls")));
}

static const struct experiment about = {
	.name = "udp_loss",
	.group = "buffers",
	.order = 313,
	.summary = "Where does UDP lose datagrams, and when does it block instead?",
	.claims = claims,
	.fields = fields,
	.bounds = bounds,
	.opts = opts,
	.variants = variants,
	.trials = 2,
	.quick_trials = 2,
	.judge = judge,
	.halves = halves,
};

static void leave_to_one_host(struct run *run)
{
	burst = burst < MOST_REMOTE ? burst : MOST_REMOTE;
	run_leave_out(run, QUEUE, "the queue of a link to another host is not counted");
	run_leave_out(run, QUEUE_TOLD, "the queue of a link to another host is not counted");
}

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);

	far = peer_open(run);
	if (peer_remote(far))
		leave_to_one_host(run);
	else if (run_selected(run, SLOW_LINK) || run_selected(run, QUEUE) ||
		 run_selected(run, QUEUE_TOLD))
		cable = link_open((struct link_ask){.rate = link_rate, .queue = LINK_QUEUE},
				  &no_cable);
	for (size_t v = SLOW_LINK; no_cable && v <= QUEUE_TOLD; v++)
		run_leave_out(run, v, "%s", no_cable);
	while (run_next(run))
		measure(run, run_how(run));
	if (cable)
		link_close(cable);
	return run_end(run);
}
