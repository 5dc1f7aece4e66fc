/* SPDX-License-Identifier: MIT */
/*
 * dead_peer - when does a send fail whose peer has vanished?
 *
 * A client has answered connections over a cable between two network namespaces (link.h).  Then
 *
 *	process  the peer's process is killed: its kernel closes the sockets, which sends FIN;
 *	unread   the same, but the peer had not read all: its kernel sends a reset;
 *	host     the peer's host is gone: what is sent to it arrives nowhere, and nobody says so.
 *
 * From then on the client sends a byte every few ms, until a send fails or the kernel has doubled its
 * retransmission timer a few times.  Its connections have
 *
 *	none          no option;
 *	user-timeout  TCP_USER_TIMEOUT;
 *	keepalive     SO_KEEPALIVE, with the shortest times that there are;
 *	idle          the same, and the client does not send before the kernel has noticed.
 *
 * Without an option the kernel gives up after minutes.  Nobody waits for that: how long it would take is
 * computed from its sysctls, as in its documentation (ip-sysctl, tcp_retries2).
 */
#include <errno.h>
#include <math.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "child.h"
#include "exp.h"
#include "judge.h"
#include "link.h"
#include "machine.h"
#include "net.h"
#include "span.h"
#include "tcpinfo.h"
#include "text.h"

enum { PROCESS, UNREAD, HOST };
enum { NONE, USER_TIMEOUT, KEEPALIVE, IDLE, OPTIONS };
enum { CONNECTIONS_MAX = 16, MS = 1000000 };

static const struct variant variants[] = {
	[PROCESS] = {"process", "the peer's process is killed"},
	[UNREAD] = {"unread", "the same, while it had not read all"},
	[HOST] = {"host", "the peer's host is gone"},
	{0}};

static const char *const options[OPTIONS] = {"none", "user-timeout", "keepalive", "idle"};

static const struct claim claims[] = {
	{"tcp-dead-peer", "a send to a peer that vanished fails soon", "host=process", HOLDS,
	 .why = {[DEPENDS] =
			 "the kernel of a killed process closes its sockets, and answers what still comes with a reset. A host that is gone answers nothing: TCP sends the data again, waits twice as long each time, and reports an error only when it gives up (net.ipv4.tcp_retries2, TCP_USER_TIMEOUT). Keepalive asks only a peer from which no acknowledgement is due."}},
	{0}};

static const struct row_field fields[] = {
	{"option", "of the connection, and whether it is idle", "option", .text = true,
	 .key = true},
	{"failed", "1: a send failed; 0: none did until the timer had doubled --doublings times",
	 "a send|failed", SHOW_NONZERO},
	{"error", "of that send", "error", .text = true},
	{"accepted_sends", "of a byte, after the peer had vanished", "sends|accepted"},
	{"elapsed_ns", "from then to the end, and of that", "after"},
	{"doublings", "of the retransmission timer, at the end", "timer|doubled"},
	{"unanswered", "1: the peer had not answered before it vanished", .zero = true,
	 .sham = "mute"},
	{0}};

static const struct bound bounds[] = {
	{"enough_connections", 3, "whether the peer's kernel answers is no matter of chance"}, {0}};

static int64_t connections = 3;
static int64_t doublings = 3;
static int64_t user_timeout_ms = 200;

static const struct opt opts[] = {{'n', "connections", "with each option, in a trial",
				   .num = &connections, .min = 1, .max = CONNECTIONS_MAX},
				  {'d', "doublings",
				   "of the retransmission timer, after which no error is not soon",
				   .num = &doublings, .min = 1, .max = 6},
				  {0, "user-timeout", "TCP_USER_TIMEOUT", .num = &user_timeout_ms,
				   .min = 10, .max = 10000, .unit = OPT_MS},
				  {0}};

static struct link *cable;

/* --- the peer ------------------------------------------------------------- */

struct connection {
	struct net_pair fd;
	int option;
	int64_t accepted, elapsed_ns, doublings;
	int error; /* of the send that failed; 0 = none did */
	bool unanswered, done;
};

/* Answers each connection's question, and does nothing more; its id. */
static pid_t start_peer(struct connection *all, int64_t n, bool mute)
{
	pid_t peer = child_fork_apart();
	char byte;

	if (peer > 0)
		return peer;
	for (int64_t i = 0; i < n && !mute; i++)
		if (recv(all[i].fd.rx, &byte, 1, 0) != 1 || send(all[i].fd.rx, "", 1, 0) != 1)
			_exit(EXIT_USAGE);
	for (;;)
		pause();
}

static void kill_peer(pid_t peer)
{
	kill(peer, SIGKILL);
	waitpid(peer, NULL, 0);
}

/* --- the client ----------------------------------------------------------- */

static void set_option(int fd, int option)
{
	if (option == USER_TIMEOUT)
		net_set(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, (int)user_timeout_ms);
	if (option != KEEPALIVE && option != IDLE)
		return;
	net_set(fd, IPPROTO_TCP, TCP_KEEPIDLE, 1); /* seconds */
	net_set(fd, IPPROTO_TCP, TCP_KEEPINTVL, 1);
	net_set(fd, IPPROTO_TCP, TCP_KEEPCNT, 1);
	net_set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
}

/* Asks each peer something and waits for its answer. */
static void ask_all(struct connection *all, int64_t n, bool mute)
{
	for (int64_t i = 0; i < n; i++)
		check_fd((int)send(all[i].fd.tx, "", 1, 0), "send");
	for (int64_t i = 0; i < n; i++) {
		char byte;

		all[i].unanswered = !run_wait_fd(all[i].fd.tx, POLLIN,
						 span_now() + (mute ? 0 : 10000LL * MS)) ||
				    net_recv_now(all[i].fd.tx, &byte, 1) != 1;
	}
}

/* Sends a byte, unless it has to wait for what the kernel notices. */
static void send_one(struct connection *c, int64_t begin_ns)
{
	struct tcpinfo tcp = tcpinfo_read(c->fd.tx);

	if (c->option == IDLE && tcp.state == TCP_ESTABLISHED && c->accepted == 0)
		return;
	c->doublings = tcp.backoff;
	if (send(c->fd.tx, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL) == 1)
		c->accepted++;
	else if (errno != EAGAIN)
		c->error = errno;
	c->elapsed_ns = span_now() - begin_ns;
	c->done = c->error || c->doublings >= doublings;
}

static void send_all(struct connection *all, int64_t n, int64_t begin_ns)
{
	int64_t left = n;

	while (left > 0 && run_sleep_until(span_now() + 5LL * MS)) {
		left = 0;
		for (int64_t i = 0; i < n; i++) {
			if (!all[i].done)
				send_one(&all[i], begin_ns);
			left += !all[i].done;
		}
	}
}

static void record(struct run *run, const struct connection *c)
{
	if (c->done)
		run_record(run, (struct field[]){
					{"option", .text = options[c->option]},
					{"failed", c->error != 0},
					{"error", .text = c->error ? text_errno(c->error) : "none"},
					{"accepted_sends", c->accepted},
					{"elapsed_ns", c->elapsed_ns},
					{"doublings", c->doublings},
					{"unanswered", c->unanswered},
					{0}});
}

static void measure(struct run *run, size_t death)
{
	struct connection all[OPTIONS * CONNECTIONS_MAX] = {0};
	int64_t n = OPTIONS * connections;
	bool mute = run_sham(run, "mute");
	int64_t begin_ns;
	pid_t peer;

	for (int64_t i = 0; i < n; i++) {
		all[i].option = (int)(i % OPTIONS);
		all[i].fd = link_pair(cable, NET_TCP, (struct net_ask){0});
		set_option(all[i].fd.tx, all[i].option);
	}
	peer = start_peer(all, n, mute);
	for (int64_t i = 0; i < n; i++)
		close(all[i].fd.rx);
	ask_all(all, n, mute);
	for (int64_t i = 0; i < n && death == UNREAD; i++)
		check_fd((int)send(all[i].fd.tx, "", 1, 0), "send");
	begin_ns = span_now();
	if (death == HOST)
		link_gone(cable, LINK_RX, true);
	else
		kill_peer(peer);
	send_all(all, n, begin_ns);
	if (death == HOST) {
		link_gone(cable, LINK_RX, false);
		kill_peer(peer);
	}
	for (int64_t i = 0; i < n; i++) {
		net_reset(all[i].fd.tx);
		record(run, &all[i]);
	}
}

/* --- judge --------------------------------------------------------------- */

/*
 * For how long data is sent again at least, by the rule of the kernel's documentation: first after
 * 200 ms, then after twice as long each time, but after no more than 120 s.
 */
static double given_up_s(void)
{
	int64_t most_ms = machine_sysctl("net/ipv4/tcp_rto_max_ms");
	int64_t retries = machine_sysctl("net/ipv4/tcp_retries2");
	double most_s = most_ms > 0 ? (double)most_ms / 1e3 : 120;
	double wait_s = 0.2, sum_s = 0;

	for (int64_t i = 0; i <= retries; i++) {
		sum_s += wait_s;
		wait_s = fmin(2 * wait_s, most_s);
	}
	return retries < 0 ? NAN : sum_s;
}

/* The same of a connection that is idle, with SO_KEEPALIVE and no other option. */
static double noticed_s(void)
{
	int64_t time_s = machine_sysctl("net/ipv4/tcp_keepalive_time");
	int64_t interval_s = machine_sysctl("net/ipv4/tcp_keepalive_intvl");
	int64_t probes = machine_sysctl("net/ipv4/tcp_keepalive_probes");

	return time_s < 0 ? NAN : (double)(time_s + probes * interval_s);
}

static struct values values_of(struct run *run, size_t death, int option, const char *field)
{
	return run_values_where(run, death, field,
				(struct field[]){{"option", .text = options[option]}, {0}});
}

static struct share failed_of(struct run *run, size_t death, int option)
{
	return share_nonzero(values_of(run, death, option, "failed"));
}

static double median_of(struct run *run, size_t death, int option, const char *field)
{
	return stats_quantile(values_of(run, death, option, field), 0.5);
}

static void judge(struct run *run)
{
	int64_t enough = (int64_t)run_bound(run, "enough_connections");
	struct share process =
		share_add(failed_of(run, PROCESS, NONE), failed_of(run, UNREAD, NONE));
	struct share host = failed_of(run, HOST, NONE);

	run_judge(
		run, "tcp-dead-peer",
		by_case(always_happens(process, enough), always_happens(host, enough)),
		"without an option a send failed in {process} connections whose peer was killed, {ended_sends} accepted before; in {host} whose host had gone, {sends} accepted in {host_ns}: TCP would give up after {computed_s}, by computation. With TCP_USER_TIMEOUT one failed in {user} after {user_ns}; with keepalive in {keepalive} that went on sending, in {idle} that were idle, after {idle_ns}",
		number_share("process", process),
		number_real("ended_sends", median_of(run, PROCESS, NONE, "accepted_sends")),
		number_share("host", host),
		number_real("sends", median_of(run, HOST, NONE, "accepted_sends")),
		number_real("host_ns", median_of(run, HOST, NONE, "elapsed_ns")),
		number_real("computed_s", given_up_s()),
		number_share("user", failed_of(run, HOST, USER_TIMEOUT)),
		number_real("user_ns", median_of(run, HOST, USER_TIMEOUT, "elapsed_ns")),
		number_share("keepalive", failed_of(run, HOST, KEEPALIVE)),
		number_share("idle", failed_of(run, HOST, IDLE)),
		number_real("idle_ns", median_of(run, HOST, IDLE, "elapsed_ns")));
	run_note(
		run,
		"keepalive was set to its shortest times; with those of this machine an idle connection would notice after {noticed_s}, by computation",
		number_real("noticed_s", noticed_s()));
}

static const struct experiment about = {
	.name = "dead_peer",
	.group = "tcp",
	.order = 420,
	.summary = "When does a send fail whose peer has vanished?",
	.intro =
		"A byte is sent every 5 ms, until a send fails or the retransmission timer has doubled {doublings} times.",
	.claims = claims,
	.fields = fields,
	.bounds = bounds,
	.opts = opts,
	.variants = variants,
	.trials = 2,
	.quick_trials = 1,
	.judge = judge,
};

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);
	const char *no_cable;
	int status;

	cable = link_open((struct link_ask){0}, &no_cable);
	if (!cable)
		return run_skip(run, "no host can vanish: %s", no_cable);
	while (run_next(run))
		measure(run, run_variant(run));
	status = run_end(run);
	link_close(cable);
	return status;
}
