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
#include "old.h"
#include "net.h"
#include "span.h"
#include "text.h"

enum { FULL, LEVEL, EDGE, SPARE, VARIANTS };
enum { LEFT = 64 }; /* descriptors that a child may open, but for the few it needs first */

static const struct variant variants[] = {
	[FULL] = {"full", "calls that need a descriptor when there is none left"},
	[LEVEL] = {"level", "a client comes to a full server: level-triggered epoll (trap)"},
	[EDGE] = {"edge", "the same, edge-triggered"},
	[SPARE] = {"spare", "the same with a descriptor kept to turn clients away (cure)"},
	{0}};

static const struct claim claims[] = {
	{"poll-accept-spin",
	 "a server without a descriptor left spins on who waits to be accepted"},
	{0}};

static int64_t spin_ms = 50;

static const struct opt opts[] = {{'s', "spin", "how long a client waits at a full server",
				   .num = &spin_ms, .min = 5, .quick = 20, .max = 10000,
				   .unit = OPT_MS},
				  {0}};

static const struct experiment about = {
	.name = "emfile",
	.group = "polling",
	.summary = "What happens in a process that has no descriptor left?",
	.claims = claims,
	.opts = opts,
	.variants = variants,
	.trials = 4,
	.quick_trials = 2,
};

enum { OPEN, SOCKET, DUP, EVENTFD, EPOLL, PIPE, ACCEPT_EMPTY, ACCEPT, SEND, DUP2, CALLS };

static const char *const calls[] = {
	[OPEN] = "open",
	[SOCKET] = "socket",
	[DUP] = "dup",
	[EVENTFD] = "eventfd",
	[EPOLL] = "epoll_create",
	[PIPE] = "pipe (two)",
	[ACCEPT_EMPTY] = "accept, no client",
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

/* The server's loop for so long; returns how often it woke up. */
static int64_t serve(struct server *s, int64_t for_ns, bool with_spare)
{
	int64_t end_ns = span_now() + for_ns;
	int64_t wakeups = 0;

	for (int64_t left_ns = for_ns; left_ns > 0; left_ns = end_ns - span_now()) {
		struct epoll_event event;
		int fd;

		if (epoll_wait(s->epoll, &event, 1, (int)((left_ns + 999999) / 1000000)) != 1)
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

	found->idle_wakeups = serve(&s, spin_ns / 2, variant == SPARE);
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

/* --- trials -------------------------------------------------------------- */

static void measure(size_t variant)
{
	*found = (struct found){0};
	if (child_run(try_variant, &variant) != 0)
		errx(EXIT_USAGE, "%s: the child failed", variants[variant].name);
}

static void record_calls(struct run *run)
{
	for (int call = 0; call < CALLS; call++)
		run_record(run,
			   (struct field[]){
				   {"call", .text = calls[call]},
				   {"full", .text = text_errno((int)found->full_error[call])},
				   {"full_errno", found->full_error[call]},
				   {"after", .text = text_errno((int)found->after_error[call])},
				   {"after_errno", found->after_error[call]},
				   {0}});
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

/* --- report -------------------------------------------------------------- */

/* Of the first trial: the calls are the same in each. */
static int call_error_in(struct run *run, const char *field, int call)
{
	return (int)run_values(run, FULL, field).at[call];
}

static void print_calls(struct run *run)
{
	FILE *out = run_out(run);

	fprintf(out, "  %-18s %14s %18s\n", "call", "at the limit", "after one close");
	for (int call = 0; call < CALLS; call++)
		fprintf(out, "  %-18s %14s %18s\n", calls[call],
			text_errno(call_error_in(run, "full_errno", call)),
			text_errno(call_error_in(run, "after_errno", call)));
	fputs("\n", out);
}

static int64_t median_of(struct run *run, size_t v, const char *field)
{
	return (int64_t)run_median(run, v, field);
}

static const char *fate_of(struct run *run, size_t v)
{
	if (median_of(run, v, "turned_away") > 0)
		return "-";
	if (median_of(run, v, "after_wakeups") > 0)
		return "is served";
	return median_of(run, v, "after_accept_errno") == 0 ? "still waits" : "lost";
}

static double cpu_share(struct run *run, size_t v)
{
	return run_sum(run, v, "cpu_ns") / run_sum(run, v, "elapsed_ns");
}

/* Wake-ups a second while one client waits; NAN if that was not measured. */
static double rate(struct run *run, size_t v)
{
	return run_median(run, v, "wakeups") * 1e9 / run_median(run, v, "elapsed_ns");
}

static void print_servers(struct run *run)
{
	FILE *out = run_out(run);

	fprintf(out, "  %-8s %13s %14s %8s %12s %16s\n", "a full", "wake-ups,", "wake-ups, one", "",
		"the client", "and after");
	fprintf(out, "  %-8s %13s %14s %8s %12s %16s\n", "server", "nobody there",
		text_format("waits %s", text_time((double)spin_ms * 1e6)), "CPU", "meanwhile",
		"one close");
	for (size_t v = LEVEL; v <= SPARE; v++)
		if (run_selected(run, v))
			fprintf(out, "  %-8s %13s %14s %8s %12s %16s\n", variants[v].name,
				text_count((int64_t)run_sum(run, v, "idle_wakeups")),
				text_count(median_of(run, v, "wakeups")),
				text_share(cpu_share(run, v)),
				median_of(run, v, "turned_away") > 0 ? "is told" : "waits",
				fate_of(run, v));
	fputs("\n", out);
}

static void control(struct run *run)
{
	if (run_selected(run, FULL))
		old_control(run,
			    call_error_in(run, "after_errno", OPEN) == 0 &&
				    call_error_in(run, "after_errno", ACCEPT) == 0,
			    "open or accept failed when a descriptor was free again");
	for (size_t v = LEVEL; v <= SPARE; v++)
		old_control(run, stats_nonzero(run_values(run, v, "idle_wakeups")) == 0,
			    "%s: woke up though nobody was there", variants[v].name);
}

static void judge(struct run *run)
{
	double level = rate(run, LEVEL);
	double spare = rate(run, SPARE);
	double share = cpu_share(run, LEVEL);
	double cured = cpu_share(run, SPARE);

	if (isnan(level) || isnan(spare))
		return;
	old_verdict(
		run, "poll-accept-spin", level > 100 + 10 * spare ? HOLDS : NOT_SEEN,
		(struct field[]){{"level_wakeups_per_s", (int64_t)level},
				 {"spare_wakeups_per_s", (int64_t)spare},
				 {"level_cpu_share", .real = &share},
				 {"spare_cpu_share", .real = &cured},
				 {0}},
		"wake-ups in %s while one client waits: %s level-triggered (%s of a CPU), %s with "
		"a descriptor to turn it away (%s)%s",
		text_time((double)spin_ms * 1e6), text_count(median_of(run, LEVEL, "wakeups")),
		text_share(share), text_count(median_of(run, SPARE, "wakeups")), text_share(cured),
		run_selected(run, EDGE)
			? text_format(", %s edge-triggered, whose client %s after a close",
				      text_count(median_of(run, EDGE, "wakeups")),
				      fate_of(run, EDGE))
			: "");
}

static void report(struct run *run)
{
	if (run_selected(run, FULL))
		print_calls(run);
	if (run_selected(run, LEVEL) || run_selected(run, EDGE) || run_selected(run, SPARE))
		print_servers(run);
	control(run);
	judge(run);
	old_why(run, "accept takes nobody out of the queue when there is no descriptor for the "
		     "client, so the listening socket stays ready, level by level.");
}

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);

	found = child_share(sizeof(*found));
	while (run_next(run)) {
		measure(run_variant(run));
		if (run_variant(run) == FULL)
			record_calls(run);
		else
			record_server(run);
	}
	return old_end(run, report);
}
