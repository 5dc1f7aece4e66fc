/* SPDX-License-Identifier: MIT */
/*
 * refused - what does connect say where nobody listens, and how soon?
 *
 * The ways in which nobody is there, over TCP, AF_UNIX and UDP, beside the two contrasts: somebody
 * listens (the control), and the SYN is never answered.  For the latter a listener's queue is full
 * (see backlog.c): to a client it is a host that is switched off, or a firewall that drops, and
 * only a time limit of its own ends the wait.
 *
 * No port is free by hope: each is held by a socket that does not listen, or is a port below 1,024
 * that /proc/net shows nobody at, and that others must not take.
 *
 * Then what becomes of a program that does not look at connect's result: a process of its own
 * writes to the socket all the same.
 *
 * Last, the case in which connect succeeds though nobody listens: the client's own port is the one
 * that it connects to, because it bound it, or because connect chose it.
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "address.h"
#include "check.h"
#include "child.h"
#include "exp.h"
#include "judge.h"
#include "net.h"
#include "span.h"
#include "text.h"

enum {
	LISTENS,
	CLOSED,
	BOUND,
	BOUND_V6,
	GONE,
	NONBLOCK,
	SELF,
	SELF_V6,
	OTHER_PORT,
	CHANCE,
	UNIX_BOUND,
	UNIX_NOBODY,
	UNIX_FILE,
	UDP,
	SILENT,
	SILENT_POLL,
};

static const struct variant variants[] = {
	[LISTENS] = {"listens", "TCP: a server listens (control)"},
	[CLOSED] = {"closed", "TCP: no socket has the port"},
	[BOUND] = {"bound", "TCP: a socket has the port, but does not listen"},
	[BOUND_V6] = {"bound-ipv6", "TCP: the same over IPv6"},
	[GONE] = {"gone", "TCP: the listener was closed a moment ago"},
	[NONBLOCK] = {"nonblock", "TCP: as bound, the client does not block"},
	[SELF] = {"self", "TCP: the client itself has the port, and does not listen"},
	[SELF_V6] = {"self-ipv6", "TCP: the same over IPv6"},
	[OTHER_PORT] = {"other-port", "TCP: the client has another port (control)"},
	[CHANCE] = {"chance", "TCP: again and again, until connect chooses that port"},
	[UNIX_BOUND] = {"unix-bound", "AF_UNIX: a socket has the name, but does not listen"},
	[UNIX_NOBODY] = {"unix-nobody", "AF_UNIX: nobody has the abstract name"},
	[UNIX_FILE] = {"unix-file", "AF_UNIX: there is no such file"},
	[UDP] = {"udp", "UDP: no socket has the port"},
	[SILENT] = {"silent", "TCP: no answer; SO_SNDTIMEO limits the wait"},
	[SILENT_POLL] = {"silent-poll", "TCP: no answer; poll limits the wait"},
	{0}};

static const struct claim claims[] = {
	{"tcp-connect-refused",
	 "connecting to a port nobody listens on fails at once, and a program must handle it",
	 "late", REFUTED,
	 .why = {[HOLDS] =
			 "the kernel of the host answers for a port that nobody listens on: with a reset, of UDP with an ICMP message that the next call reports. A host that is off, or a firewall that drops, answers nothing, and TCP keeps trying."}},
	{"tcp-self-connect", "connecting to a port nobody listens on always fails",
	 "self=other-port,self-ipv6=other-port", HOLDS,
	 .why = {[REFUTED] =
			 "TCP lets two sides open one connection at the same time, each by connect. A client whose own port is the one that it connects to receives its own SYN, and is both sides. Not bound, it takes chance: connect chooses a port of ip_local_port_range, and a client that keeps trying may be given the very port of the server that is not up yet, which then cannot bind it. A server's port is better outside this range."}},
	{0}};

static const struct row_field fields[] = {
	{"connect", "what connect gave", "connect|gives", .text = true},
	{"later", "what SO_ERROR, or UDP's next call, gave; ETIMEDOUT: poll's limit", "later",
	 .text = true},
	{"known_ns", "until the program knew", "median"},
	{"known_ns", .column = "longest", .show = SHOW_MOST},
	{"sleeps", "how often the caller slept meanwhile", "slept", SHOW_NONZERO},
	{"connect_errno", "of connect"},
	{"later_errno", "of what came later"},
	{"connect_ns", "of connect alone"},
	{"refused", "1: either of them is ECONNREFUSED"},
	{"at_once", "1: the program knew within at_once_ns"},
	{"self_connected", "1: the client is its own peer, and received what it sent", "to|itself",
	 SHOW_NONZERO},
	{"chance_calls", "of chance: connects to one port until it was so, or the time was over",
	 "connect|calls"},
	{"killed_by_signal",
	 "of bound: what a process died of that wrote all the same; 0: of nothing"},
	{"listens_errno", "of connecting to a server that listens", .zero = true,
	 .sham = "listens=closed"},
	{"other_port_connects", "1: a client with another port was connected", .zero = true,
	 .sham = "other-port=self"},
	{"answered", "1: a listener whose queue is full let somebody in", .zero = true,
	 .sham = "silent=listens"},
	{0}};

static const struct bound bounds[] = {
	{"at_once_ns", 20e6,
	 "a fiftieth of what a SYN waits before it is sent again, and far above a wake-up"},
	{"at_once_share", 0.5, "of the trials: one is late where its machine is"},
	{"enough_trials", 8, "each of four ways of IPv4, twice"},
	{"enough_attempts", 2, "the kernel's rule does not change from attempt to attempt"},
	{0}};

static int64_t limit_ms = 100;
static int64_t chance_ms = 250;

static const struct opt opts[] = {
	{'l', "limit", "how long the client waits for an answer that does not come",
	 .num = &limit_ms, .min = 20, .quick = 60, .max = 60000, .unit = OPT_MS},
	{'c', "chance", "how long a client keeps trying to be connected to itself",
	 .num = &chance_ms, .min = 1, .quick = 100, .max = 50000, .unit = OPT_MS},
	{0}};

/* What the client's calls gave: 0 or an errno. */
struct outcome {
	int connect_error;
	int later_error;    /* of SO_ERROR, or of what UDP called next */
	int64_t connect_ns; /* of connect alone */
	int64_t known_ns;   /* until the program knew */
	int64_t asleep;     /* how often the caller slept meanwhile */
	int64_t killed_by;  /* the signal that ended a process which ignored it; 0: none */
	bool own_peer;      /* the client was connected to itself */
	int64_t calls;      /* of connect, that it took */
};

/* --- nobody there ---------------------------------------------------------- */

/* An address at which nobody is: the least privileged port that no socket has. */
static struct sockaddr_in nobody(int type)
{
	bool tcp = type == SOCK_STREAM;
	unsigned long state = tcp ? TCP_LISTEN : TCP_CLOSE; /* UDP's only state but connected */
	unsigned long port = 1;

	while (port < 1023 &&
	       (net_port_listed(tcp ? "/proc/net/tcp" : "/proc/net/udp", port, state) ||
		net_port_listed(tcp ? "/proc/net/tcp6" : "/proc/net/udp6", port, state)))
		port++;
	return (struct sockaddr_in){.sin_family = AF_INET,
				    .sin_port = htons((uint16_t)port),
				    .sin_addr = {htonl(INADDR_LOOPBACK)}};
}

/* A port whose listener was closed; returns a socket that keeps it, and does not listen. */
static int closed_listener(struct sockaddr_in *where)
{
	int holder = net_bound(SOCK_STREAM, where);
	int listener = net_socket(SOCK_STREAM);
	int client;

	net_set(holder, SOL_SOCKET, SO_REUSEADDR, 1);
	net_set(listener, SOL_SOCKET, SO_REUSEADDR, 1);
	check_fd(bind(listener, (struct sockaddr *)where, sizeof(*where)), "bind");
	check_fd(listen(listener, 1), "listen");
	client = net_connect(where); /* it does listen */
	close(client);
	close(listener);
	return holder;
}

/* --- connecting ------------------------------------------------------------ */

static int so_error(int fd)
{
	int error = 0;
	socklen_t size = sizeof(error);

	check_fd(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size), "SO_ERROR");
	return error;
}

/* Waits until a connect that is under way has ended, at most limit_ms; what it ended with. */
static int await(int fd)
{
	bool ended = run_wait_fd(fd, POLLOUT, span_now() + limit_ms * 1000000);

	return ended ? so_error(fd) : ETIMEDOUT;
}

/* What a connected UDP socket says when it is used: the first time, then until it complains. */
static int use_udp(int fd)
{
	char byte = 1;
	int64_t deadline_ns = span_now() + limit_ms * 1000000;

	check_fd((int)send(fd, &byte, 1, 0), "send");
	while (span_now() < deadline_ns)
		if (recv(fd, &byte, 1, MSG_DONTWAIT) < 0 && errno != EAGAIN)
			return errno;
	return 0;
}

static void attempt(struct outcome *o, int fd, const void *where, socklen_t size, size_t variant)
{
	int64_t sleeps = span_sleeps();
	int64_t begin_ns = span_now();

	o->connect_error = connect(fd, where, size) < 0 ? errno : 0;
	o->connect_ns = span_now() - begin_ns;
	if (o->connect_error == EINPROGRESS && variant != SILENT)
		o->later_error = await(fd);
	if (variant == UDP)
		o->later_error = use_udp(fd);
	o->known_ns = span_now() - begin_ns;
	o->asleep = span_sleeps() - sleeps;
}

/* A process that goes on as if it were connected; the signal that it died of. */
static int64_t ignore_it(const struct sockaddr_in *where)
{
	pid_t child = child_fork();
	int status = 0;

	if (child == 0) {
		int fd = socket(AF_INET, SOCK_STREAM, 0);

		signal(SIGPIPE, SIG_DFL);
		if (connect(fd, (const struct sockaddr *)where, sizeof(*where)) == 0)
			_exit(1);
		_exit(write(fd, "hello", 5) < 0 ? 2 : 0);
	}
	check_fd(waitpid(child, &status, 0), "waitpid");
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static struct outcome measure_inet(size_t variant)
{
	bool silent = variant == SILENT || variant == SILENT_POLL;
	int nonblock = variant == NONBLOCK || variant == SILENT_POLL ? SOCK_NONBLOCK : 0;
	int type = variant == UDP ? SOCK_DGRAM : SOCK_STREAM;
	int fd = net_socket(type | nonblock);
	struct outcome o = {0};
	struct sockaddr_in where;
	int fillers[NET_FILLERS];
	int holder = -1;

	if (variant == LISTENS)
		holder = net_listen(1, &where);
	else if (variant == BOUND || variant == NONBLOCK)
		holder = net_bound(SOCK_STREAM, &where);
	else if (variant == GONE)
		holder = closed_listener(&where);
	else if (silent)
		holder = net_silent(&where, fillers);
	else
		where = nobody(type);
	if (variant == SILENT)
		net_set_timeout(fd, SO_SNDTIMEO, limit_ms);
	attempt(&o, fd, &where, sizeof(where), variant);
	if (variant == BOUND)
		o.killed_by = ignore_it(&where);
	for (int i = 0; i < NET_FILLERS && silent; i++)
		close(fillers[i]);
	close(fd);
	if (holder >= 0)
		close(holder);
	return o;
}

static struct outcome measure_unix(size_t variant)
{
	/* a name that no program can make: /proc takes no new files */
	struct sockaddr_un where = {AF_UNIX, "/proc/self/no-such-socket"};
	socklen_t size = sizeof(where);
	int fd = check_fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
	int holder = check_fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
	struct outcome o = {0};

	if (variant == UNIX_BOUND) { /* the kernel chooses a free abstract name */
		check_fd(bind(holder, (struct sockaddr *)&where, sizeof(sa_family_t)), "bind");
		check_fd(getsockname(holder, (struct sockaddr *)&where, &size), "getsockname");
	} else if (variant == UNIX_NOBODY) {
		memset(where.sun_path, 0, sizeof(where.sun_path));
		snprintf(where.sun_path + 1, sizeof(where.sun_path) - 1, "stallrace-nobody-%d",
			 (int)getpid());
	}
	attempt(&o, fd, &where, size, variant);
	close(fd);
	close(holder);
	return o;
}

/* --- connected to itself --------------------------------------------------- */

/* Whether both ends of a connection have one name, and what the socket sends comes back to it. */
static bool is_own_peer(int fd)
{
	static const char sent[] = "to myself";
	struct address name = address_of(fd);
	struct address peer = address_empty();
	char came[sizeof(sent)] = "";

	return getpeername(fd, &peer.any, &peer.size) == 0 && address_compare(&peer, &name) == 0 &&
	       send(fd, sent, sizeof(sent), 0) == (ssize_t)sizeof(sent) &&
	       recv(fd, came, sizeof(came), MSG_WAITALL) == (ssize_t)sizeof(came) &&
	       memcmp(sent, came, sizeof(sent)) == 0;
}

/* A client that is bound to the port that it connects to, or to another one; of BOUND_V6 to none. */
static struct outcome measure_own_port(size_t variant)
{
	bool v6 = variant == BOUND_V6 || variant == SELF_V6;
	struct address own = address_loopback(v6 ? AF_INET6 : AF_INET), other = own;
	int fd = variant == BOUND_V6 ? address_socket(SOCK_STREAM, &own)
				     : address_bind(SOCK_STREAM, &own);
	int holder = address_bind(SOCK_STREAM, &other);
	struct outcome o = {0};

	attempt(&o, fd, variant == SELF || variant == SELF_V6 ? &own.any : &other.any, own.size,
		variant);
	o.own_peer = is_own_peer(fd);
	net_reset(fd);
	close(holder);
	return o;
}

/*
 * A port that connect may choose: one that it chose, and that is free again.  One of bind's will not do:
 * Linux takes odd ports for the one and even ones for the other, as long as there are any.
 */
static struct sockaddr_in chosen_by_connect(void)
{
	struct sockaddr_in where;
	int listener = net_listen(1, &where);
	int client = net_connect(&where);

	where = net_name(client);
	net_reset(client);
	close(listener);
	return where;
}

/* Clients that are not bound connect to one port, one after the other, until one has that port. */
static struct outcome measure_chance(void)
{
	struct sockaddr_in where = chosen_by_connect();
	int64_t deadline_ns = span_now() + chance_ms * 1000000;
	struct outcome o = {0};

	do {
		int fd = net_socket(SOCK_STREAM);

		attempt(&o, fd, &where, sizeof(where), CHANCE);
		o.calls++;
		o.own_peer = o.connect_error == 0 && is_own_peer(fd);
		net_reset(fd);
	} while (o.connect_error && span_now() < deadline_ns && !run_stopped());
	return o;
}

static struct outcome measure(size_t variant)
{
	if (variant >= UNIX_BOUND && variant <= UNIX_FILE)
		return measure_unix(variant);
	if (variant == BOUND_V6 || (variant >= SELF && variant <= OTHER_PORT))
		return measure_own_port(variant);
	return variant == CHANCE ? measure_chance() : measure_inet(variant);
}

static void record(struct run *run, const struct outcome *o)
{
	int64_t known_ns = o->known_ns;
	size_t label = run_label(run);
	bool is_silent = label == SILENT || label == SILENT_POLL;
	bool owns_port = label >= SELF && label <= CHANCE;
	struct field row[16] = {
		{"connect", .text = text_errno(o->connect_error)},
		{"connect_errno", o->connect_error},
		{"later", .text = text_errno(o->later_error)},
		{"later_errno", o->later_error},
		{"connect_ns", o->connect_ns},
		{"sleeps", o->asleep},
		{"killed_by_signal", o->killed_by},
		{"refused", o->connect_error == ECONNREFUSED || o->later_error == ECONNREFUSED}};
	size_t n = 8;

	if (run_sham(run, "late"))
		known_ns += 40000000;
	row[n++] = (struct field){"known_ns", known_ns};
	row[n++] = (struct field){"at_once", (double)known_ns <= run_bound(run, "at_once_ns")};
	if (label == LISTENS)
		row[n++] = (struct field){"listens_errno", o->connect_error};
	if (is_silent)
		row[n++] = (struct field){"answered",
					  label == SILENT ? !o->connect_error : !o->later_error};
	if (label == OTHER_PORT)
		row[n++] = (struct field){"other_port_connects", !o->connect_error};
	if (owns_port)
		row[n++] = (struct field){"self_connected", o->own_peer};
	if (label == CHANCE)
		row[n++] = (struct field){"chance_calls", o->calls};
	run_record(run, row);
}

/* --- judge --------------------------------------------------------------- */

static void judge_self(struct run *run)
{
	struct share self = run_nonzero(run, SELF, "self_connected");
	struct share v6 = {0};

	if (run_selected(run, SELF_V6))
		v6 = run_nonzero(run, SELF_V6, "self_connected");
	self = share_add(self, v6);
	run_judge(
		run, "tcp-self-connect",
		never_happens(self, (int64_t)run_bound(run, "enough_attempts")),
		"in {self} trials a client that had bound the port that it connected to was connected to itself, over IPv6 in {v6}: its own name was its peer's, and what it sent it received",
		number_share("self", self), number_share("v6", v6));
}

static void judge(struct run *run)
{
	static const size_t nobody_listens[] = {CLOSED, BOUND, BOUND_V6, GONE, NONBLOCK};
	int64_t enough = (int64_t)run_bound(run, "enough_trials");
	struct share refused = {0};
	struct share at_once = {0};
	struct share killed = run_nonzero(run, BOUND, "killed_by_signal");
	double longest = 0;

	for (size_t i = 0; i < sizeof(nobody_listens) / sizeof(nobody_listens[0]); i++) {
		size_t v = nobody_listens[i];

		if (v == BOUND_V6 && !run_selected(run, v))
			continue;
		refused = share_add(refused, run_nonzero(run, v, "refused"));
		at_once = share_add(at_once, run_nonzero(run, v, "at_once"));
		longest = fmax(longest, stats_quantile(run_values(run, v, "known_ns"), 1));
	}
	run_judge(
		run, "tcp-connect-refused",
		all_of(always_happens(refused, enough),
		       share_above(at_once, run_bound(run, "at_once_share")), can_happen(killed)),
		"ECONNREFUSED in {refused} trials, in {at_once} within {bound_ns}, after {longest_ns} at most; a program that wrote all the same was killed by SIGPIPE in {killed}; without an answer connect waited until its limit: {silent_ns}",
		number_share("refused", refused), number_share("at_once", at_once),
		number_real("bound_ns", run_bound(run, "at_once_ns")),
		number_real("longest_ns", longest), number_share("killed", killed),
		number_real("silent_ns", run_median(run, SILENT, "known_ns")));
	judge_self(run);
}

static const struct experiment about = {
	.name = "refused",
	.group = "tcp",
	.order = 403,
	.summary = "What does connect say where nobody listens, and how soon?",
	.intro =
		"All over loopback. A client that may wait gives up after {limit_ms}. Of self and chance the client's own port is the one that it connects to.",
	.claims = claims,
	.fields = fields,
	.bounds = bounds,
	.opts = opts,
	.variants = variants,
	.trials = 7,
	.quick_trials = 2,
	.timed = true,
	.judge = judge,
};

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);
	const char *missing = address_no_v6();

	if (missing) {
		run_leave_out(run, BOUND_V6, "%s", missing);
		run_leave_out(run, SELF_V6, "%s", missing);
	}

	while (run_next(run)) {
		struct outcome o = measure(run_variant(run));

		record(run, &o);
	}
	return run_end(run);
}
