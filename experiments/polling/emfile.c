/* SPDX-License-Identifier: MIT */
/*
 * emfile - what happens in a process that has no descriptor left?
 *
 *	full    calls that need a descriptor, at the limit and after one close: EMFILE, "too many
 *	        open files", which two more calls do not mind
 *	level   a client comes to a server that is at its limit: accept fails and leaves the client
 *	        in the queue, so that a level-triggered wait says "ready" again at once (trap)
 *	edge    an edge-triggered one says it once, and never again
 *	spare   level-triggered, with one descriptor to give up for turning the client away (cure)
 *
 * It happens in child processes, under a limit of their own.  Where the limit comes from is in
 * limits.c.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "child.h"
#include "exp.h"
#include "judge.h"
#include "language.h"
#include "net.h"
#include "span.h"
#include "text.h"

enum { FULL, LEVEL, EDGE, SPARE };
enum { LEFT = 64 }; /* descriptors that a child may open, but for the few it needs first */

static const struct variant variants[] = {
	[FULL] = {"full", "calls that need a descriptor when there is none left"},
	[LEVEL] = {"level", "a client comes to a full server: level-triggered epoll (trap)"},
	[EDGE] = {"edge", "the same, edge-triggered"},
	[SPARE] = {"spare", "the same with a descriptor kept to turn clients away (cure)"},
	{0}};

static const struct claim claims[] = {
	{"poll-accept-spin", "a server without a descriptor left spins on who waits to be accepted",
	 "level=edge", NOT_SEEN,
	 .why = {[HOLDS] =
			 "accept takes nobody out of the queue when there is no descriptor for the client, so the listening socket stays ready, level by level."}},
	{0}};

static const struct row_field fields[] = {
	{"call", "a call that needs a descriptor; send and dup2 need none more", .text = true},
	{"when", "at the limit, or after one close", .text = true},
	{"result", "ok, or the call's error", .text = true},
	{"errno", "0: ok"},
	{"wakeups", "while the client waits", "wake-ups", SHOW_MEDIAN},
	{"cpu_ns", "of the server while the client waits", "of a|CPU", SHOW_SUM, "elapsed_ns"},
	{"turned_away", "clients accepted and closed with the spare descriptor", "told",
	 SHOW_MEDIAN},
	{"after_wakeups", "when one descriptor is free again", "after|one close", SHOW_MEDIAN},
	{"after_accept_errno",
	 "of accept, where nothing woke the server: 0: the client still waited"},
	{"elapsed_ns", "how long the client waited"},
	{"refusals", "accept calls that gave EMFILE"},
	{"idle_wakeups", "while nobody is there", .zero = true, .sham = "ghost"},
	{"after_failed", "1: open or accept failed when a descriptor was free again", .zero = true,
	 .sham = "leak"},
	{0}};

static const struct bound bounds[] = {
	{"spinning_wakeups", 100,
	 "one client gives one wake-up, or a few; a loop that is never told to wait gives thousands"},
	{"told_wakeups", 10, "one client that is turned away gives one"},
	{0}};

static int64_t spin_ms = 50;

static const struct opt opts[] = {{'s', "spin", "how long a client waits at a full server",
				   .num = &spin_ms, .min = 5, .quick = 10, .max = 10000,
				   .unit = OPT_MS},
				  {0}};

enum { OPEN, SOCKET, DUP, EVENTFD, EPOLL, PIPE, ACCEPT_EMPTY, ACCEPT, SEND, DUP2, CALLS };

static const char *const calls[] = {
	[OPEN] = "open",
	[SOCKET] = "socket",
	[DUP] = "dup",
	[EVENTFD] = "eventfd",
	[EPOLL] = "epoll_create",
	[PIPE] = MESSAGE("pipe (two)"),
	[ACCEPT_EMPTY] = MESSAGE("accept, no client"),
	[ACCEPT] = "accept",
	[SEND] = "send",
	[DUP2] = "dup2",
};

/* What a child finds, in memory that it shares with its parent.  Errors are error numbers. */
struct found {
	int64_t full_error[CALLS], after_error[CALLS]; /* at the limit, and after one close */

	int64_t idle_wakeups, wakeups, refusals; /* nobody there; while a client waits */
	struct span wait;
	int64_t turned_away;
	int64_t after_wakeups, after_accept_error; /* once a descriptor is free */
};

static struct found *found;
static int64_t spinning; /* wake-ups that show a loop that never waits */
static bool ghost, leak; /* shams: a client where nobody should be; nothing is closed */

/* --- at the limit, in the child ------------------------------------------ */

struct server {
	int listener, epoll;
	struct sockaddr_in where;
	int client, other; /* not connected yet */
	int spare, last;   /* descriptors to close */
};

/* A server that has used up what a small limit leaves. */
static struct server full_server(uint32_t events)
{
	struct server s = {.epoll = check_fd(epoll_create1(EPOLL_CLOEXEC), "epoll_create1")};
	struct epoll_event event = {.events = events};
	struct rlimit limit;

	s.listener = net_listen(8, &s.where);
	check_fd(fcntl(s.listener, F_SETFL, O_NONBLOCK), "O_NONBLOCK");
	check_fd(epoll_ctl(s.epoll, EPOLL_CTL_ADD, s.listener, &event), "epoll_ctl");
	s.client = check_fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
	s.other = check_fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
	s.spare = check_fd(eventfd(0, EFD_CLOEXEC), "eventfd");
	s.last = check_fd(eventfd(0, EFD_CLOEXEC), "eventfd");
	check_fd(getrlimit(RLIMIT_NOFILE, &limit), "getrlimit");
	limit.rlim_cur = (rlim_t)s.last + LEFT;
	check_fd(setrlimit(RLIMIT_NOFILE, &limit), "setrlimit");
	while (dup(s.last) >= 0)
		;
	return s;
}

static void come(const struct server *s)
{
	check_fd(connect(s->client, (const struct sockaddr *)&s->where, sizeof(s->where)),
		 "connect");
}

/* Makes such a call; a new descriptor, 0 of a call that needs none, or -1 with errno. */
static int make_call(const struct server *s, int call)
{
	int both[2];

	switch (call) {
	case OPEN:
		return open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	case SOCKET:
		return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	case DUP:
		return dup(s->epoll);
	case EVENTFD:
		return eventfd(0, EFD_CLOEXEC);
	case EPOLL:
		return epoll_create1(EPOLL_CLOEXEC);
	case PIPE:
		if (pipe2(both, O_CLOEXEC) < 0)
			return -1;
		close(both[1]);
		return both[0];
	case SEND:
		return send(s->client, "", 1, MSG_NOSIGNAL) == 1 ? 0 : -1;
	case DUP2:
		return dup2(s->epoll, s->other) == s->other ? 0 : -1;
	default:
		return accept4(s->listener, NULL, NULL, SOCK_CLOEXEC);
	}
}

static int64_t call_error(const struct server *s, int call)
{
	int fd = make_call(s, call);

	if (fd < 0)
		return errno;
	if (fd > 0)
		close(fd);
	return 0;
}

/* Backwards afterwards, so that accept takes the client and then finds none. */
static void call_when_full(void)
{
	struct server s = full_server(EPOLLIN);

	for (int call = 0; call < CALLS; call++) {
		if (call == ACCEPT)
			come(&s);
		found->full_error[call] = call_error(&s, call);
	}
	if (!leak)
		close(s.last);
	for (int call = CALLS - 1; call >= 0; call--)
		found->after_error[call] = call_error(&s, call);
}

/* Gives up the spare descriptor for as long as it takes to accept a client and to close it. */
static void turn_away(struct server *s)
{
	int fd;

	close(s->spare);
	fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC);
	if (fd >= 0) {
		close(fd);
		found->turned_away++;
	}
	s->spare = check_fd(eventfd(0, EFD_CLOEXEC), "eventfd");
}

/*
 * The server's loop for so long, and on as long as it never waits and has not shown that: a slow machine
 * takes longer.  Returns how often it woke up.
 */
static int64_t serve(struct server *s, int64_t for_ns, bool with_spare)
{
	int64_t end_ns = span_now() + for_ns;
	int64_t left_ns = for_ns;
	int64_t wakeups = 0;
	bool woken = false;

	while (left_ns > 0 || (woken && wakeups <= spinning)) {
		struct epoll_event event;
		int most_ms = left_ns > 0 ? (int)((left_ns + 999999) / 1000000) : 0;
		int fd;

		woken = epoll_wait(s->epoll, &event, 1, most_ms) == 1;
		left_ns = end_ns - span_now();
		if (!woken)
			continue;
		wakeups++;
		fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC);
		if (fd >= 0) {
			close(fd);
		} else if (errno == EMFILE) {
			found->refusals++;
			if (with_spare)
				turn_away(s);
		}
	}
	return wakeups;
}

static void serve_when_full(size_t variant)
{
	struct server s = full_server(variant == EDGE ? EPOLLIN | EPOLLET : EPOLLIN);
	int64_t spin_ns = spin_ms * 1000000;

	if (ghost)
		come(&s);
	found->idle_wakeups = serve(&s, spin_ns / 2, variant == SPARE);
	if (!ghost)
		come(&s);
	span_begin(&found->wait);
	found->wakeups = serve(&s, spin_ns, variant == SPARE);
	span_end(&found->wait);
	close(s.last);
	found->after_wakeups = serve(&s, spin_ns / 2, false);
	if (found->after_wakeups == 0) /* nobody was woken: could the client be accepted? */
		found->after_accept_error = call_error(&s, ACCEPT);
}

static void try_variant(void *argument)
{
	size_t variant = *(const size_t *)argument;

	if (variant == FULL)
		call_when_full();
	else
		serve_when_full(variant);
}

static const char at_limit[] = MESSAGE("at the limit");
static const char after_close[] = MESSAGE("after one close");

/* --- trials -------------------------------------------------------------- */

static void measure(size_t variant)
{
	*found = (struct found){0};
	if (child_run(try_variant, &variant) != 0)
		errx(EXIT_USAGE, "%s: the child failed", variants[variant].name);
}

static void record_call(struct run *run, int call, const char *when, int64_t error)
{
	bool must = when == after_close && (call == OPEN || call == ACCEPT);

	run_record(run, (struct field[]){{"call", .text = calls[call]},
					 {"when", .text = when},
					 {"result", .text = text_errno((int)error)},
					 {"errno", error},
					 {"after_failed", must && error != 0},
					 {0}});
}

static void record_calls(struct run *run)
{
	for (int call = 0; call < CALLS; call++) {
		record_call(run, call, at_limit, found->full_error[call]);
		record_call(run, call, after_close, found->after_error[call]);
	}
}

static void record_server(struct run *run)
{
	run_record(run, (struct field[]){{"idle_wakeups", found->idle_wakeups},
					 {"wakeups", found->wakeups},
					 {"refusals", found->refusals},
					 {"elapsed_ns", span_wall(&found->wait)},
					 {"cpu_ns", found->wait.cpu_ns},
					 {"turned_away", found->turned_away},
					 {"after_wakeups", found->after_wakeups},
					 {"after_accept_errno", found->after_accept_error},
					 {0}});
}

/* --- judge --------------------------------------------------------------- */

static void judge(struct run *run)
{
	struct interval level = run_interval(run, LEVEL, "wakeups");
	struct interval spare = run_interval(run, SPARE, "wakeups");

	run_judge(
		run, "poll-accept-spin",
		or_not_seen(all_of(is_above(level, run_bound(run, "spinning_wakeups")),
				   is_below(spare, run_bound(run, "told_wakeups")))),
		"wake-ups in {spin_ns} while one client waits: {level} level-triggered, {level_share} of a CPU; {spare} with a descriptor to turn it away, {spare_share}",
		number_real("spin_ns", run_median(run, LEVEL, "elapsed_ns")),
		number_real("level", level.mid),
		number_real("level_share", run_share(run, LEVEL, "cpu_ns", "elapsed_ns", 0.5)),
		number_real("spare", spare.mid),
		number_real("spare_share", run_share(run, SPARE, "cpu_ns", "elapsed_ns", 0.5)));
}

static void draw(struct run *run)
{
	if (run_selected(run, FULL))
		run_grid(run, FULL, "result", "call", "when");
	fputs("\n", run_out(run));
}

static const struct experiment about = {
	.name = "emfile",
	.group = "polling",
	.order = 508,
	.summary = "What happens in a process that has no descriptor left?",
	.claims = claims,
	.fields = fields,
	.bounds = bounds,
	.opts = opts,
	.variants = variants,
	.trials = 7,
	.quick_trials = 7,
	.judge = judge,
	.draw = draw,
};

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);

	found = child_share(sizeof(*found));
	ghost = run_sham(run, "ghost");
	leak = run_sham(run, "leak");
	spinning = (int64_t)run_bound(run, "spinning_wakeups");
	while (run_next(run)) {
		measure(run_variant(run));
		if (run_variant(run) == FULL)
			record_calls(run);
		else
			record_server(run);
	}
	return run_end(run);
}
