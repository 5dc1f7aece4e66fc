/* SPDX-License-Identifier: MIT */
/*
 * limits - how many descriptors may a process open, and what happens at the limit?
 *
 * RLIMIT_NOFILE has two values: the soft limit is the one that counts, and a process may raise it
 * up to the hard one.  Descriptors are numbered from 0, so that the limit is the number that none
 * reaches.  Everything here happens in child processes; the program's own limits stay as found.
 *
 *	found, at-1024, raised  opens until it is refused: as found, with a soft limit of 1024, and
 *	                        with the soft limit raised to the hard one
 *	above                   raises the hard limit, too, with and without privileges
 *	full                    calls that need a descriptor, at the limit and after one close
 *	level, edge, spare      a client comes to a server that is at its limit: accept fails and
 *	                        leaves the client in the queue, so that a level-triggered wait
 *	                        says "ready" again at once, and an edge-triggered one never again.
 *	                        "spare" keeps one descriptor to give up for turning clients away.
 *	poll                    a descriptor of 1024 or more in poll, which has no fixed size; that of
 *	                        select, FD_SETSIZE, was compiled in, and no limit changes it
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "child.h"
#include "exp.h"
#include "net.h"
#include "span.h"
#include "text.h"

enum { FOUND, AT_1024, RAISED, ABOVE, FULL, LEVEL, EDGE, SPARE, POLL, VARIANTS };
enum { USUAL = 1024, SMALL = 64, NOBODY = 65534 };

static const struct variant variants[] = {
	[FOUND] = {"found", "opens until it is refused, with the limits as they are"},
	[AT_1024] = {"at-1024", "with a soft limit of 1024"},
	[RAISED] = {"raised", "with the soft limit raised from 1024 to the hard one"},
	[ABOVE] = {"above", "raises the hard limit, with and without privileges"},
	[FULL] = {"full", "calls that need a descriptor when there is none left"},
	[LEVEL] = {"level", "a client comes to a full server: level-triggered epoll"},
	[EDGE] = {"edge", "the same, edge-triggered"},
	[SPARE] = {"spare", "the same with a descriptor kept to turn clients away"},
	[POLL] = {"poll", "poll with a descriptor of 1024 or more"},
	{0}};

static const struct claim claims[] = {
	{"poll-fd-1024", "a process may open 1024 descriptors, and this can be raised"}, {0}};

static int64_t most = 65536;
static int64_t spin_ms = 50;

static const struct opt opts[] = {
	{'m', "most", "descriptors to open at most", .num = &most, .min = 2048, .max = 1000000},
	{'s', "spin", "how long a client waits at a full server", .num = &spin_ms, .min = 5,
	 .quick = 20, .max = 10000, .unit = OPT_MS},
	{0}};

static const struct experiment about = {
	.name = "limits",
	.group = "polling",
	.summary = "How many descriptors may a process open, and what happens at the limit?",
	.claims = claims,
	.opts = opts,
	.variants = variants,
	.trials = 4,
	.quick_trials = 2,
};

static const char *const calls[] = {
	"open",   "socket", "dup", "eventfd", "epoll_create", "pipe (two)", "accept, no client",
	"accept", "send",   "dup2"};

enum { OPEN, SOCKET, DUP, EVENTFD, EPOLL, PIPE, ACCEPT_EMPTY, ACCEPT, SEND, DUP2, CALLS };

/* What a child finds, in memory that it shares with its parent.  Errors are error numbers. */
struct found {
	int64_t soft, hard; /* when it began */
	int64_t limit;      /* soft, when it opened */
	int64_t open;       /* descriptors, with those that were there already */
	int64_t highest;    /* their highest number */
	int64_t error;      /* of the call that was refused; 0: `most` were opened */

	int64_t above_error, nr_open_error, dropped_error; /* -1: not tried */

	int64_t full_error[CALLS], after_error[CALLS]; /* at the limit, and after one close */

	int64_t idle_wakeups, spin_wakeups, refusals, spin_ns, spin_cpu_ns;
	int64_t after_wakeups, after_accept_error; /* once a descriptor is free */
	int64_t turned_away;

	int64_t number; /* the high descriptor's; less than 0: the error, negative */
	int64_t ready;  /* 1: poll said so, and it could be read */
};

static struct found *found;

static struct rlimit limit_now(void)
{
	struct rlimit limit;

	check_fd(getrlimit(RLIMIT_NOFILE, &limit), "getrlimit");
	return limit;
}

static int set_limit(rlim_t soft, rlim_t hard)
{
	return setrlimit(RLIMIT_NOFILE, &(struct rlimit){soft, hard}) < 0 ? errno : 0;
}

/* --- how many ------------------------------------------------------------ */

/* Opens until it is refused, or `most` are open. */
static void fill(void)
{
	int64_t here = 0;
	int fd = check_fd(eventfd(0, EFD_CLOEXEC), "eventfd");

	found->limit = (int64_t)limit_now().rlim_cur;
	for (int i = 0; i < found->limit && i < most; i++)
		here += fcntl(i, F_GETFD) >= 0;
	found->highest = fd;
	while (here < most) {
		int next = dup(fd); /* takes the lowest number that is free */

		if (next < 0) {
			found->error = errno;
			break;
		}
		here++;
		found->highest = next > found->highest ? next : found->highest;
	}
	found->open = here;
}

static void fill_as_found(void)
{
	fill();
}

static void fill_1024(void)
{
	rlim_t hard = limit_now().rlim_max;

	check(set_limit(hard < USUAL ? hard : USUAL, hard), "setrlimit");
	fill();
}

static void fill_raised(void)
{
	rlim_t hard = limit_now().rlim_max;

	check(set_limit(hard < USUAL ? hard : USUAL, hard), "setrlimit");
	check(set_limit(hard, hard), "setrlimit");
	fill();
}

/* --- above the hard limit ------------------------------------------------ */

/* A number in a file of /proc; -1 where there is none. */
static int64_t number_in(const char *path)
{
	FILE *file = fopen(path, "re");
	int64_t number = -1;

	if (!file)
		return -1;
	if (fscanf(file, "%" SCNd64, &number) != 1) /* NOLINT(cert-err34-c): the kernel wrote it */
		number = -1;
	fclose(file);
	return number;
}

static void raise_above(void)
{
	struct rlimit before = limit_now();
	int64_t nr_open = number_in("/proc/sys/fs/nr_open");

	found->nr_open_error = found->dropped_error = -1;
	found->above_error = set_limit(before.rlim_cur, before.rlim_max + 1);
	if (nr_open > 0)
		found->nr_open_error = set_limit(before.rlim_cur, (rlim_t)nr_open + 1);
	if (found->above_error == 0)
		check(set_limit(before.rlim_cur, before.rlim_max), "setrlimit");
	if (geteuid() != 0)
		found->dropped_error = found->above_error;
	else if (setresgid(NOBODY, NOBODY, NOBODY) == 0 && setresuid(NOBODY, NOBODY, NOBODY) == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL); /* which the change of user has undone */
		found->dropped_error = set_limit(before.rlim_cur, before.rlim_max + 1);
	}
}

/* --- at the limit -------------------------------------------------------- */

struct server {
	int listener, epoll;
	struct sockaddr_in where;
	int client, other; /* connected later */
};

/* Lowers the limit to a small number and uses up what is left; one of those is returned. */
static int use_up(void)
{
	int first = check_fd(eventfd(0, EFD_CLOEXEC), "eventfd");
	int soft = first + SMALL;

	check(set_limit((rlim_t)soft, limit_now().rlim_max), "setrlimit");
	while (dup(first) >= 0)
		;
	return first;
}

static struct server server_with(uint32_t events)
{
	struct server s = {.epoll = check_fd(epoll_create1(EPOLL_CLOEXEC), "epoll_create1")};
	struct epoll_event event = {.events = events};

	s.listener = net_listen(8, &s.where);
	check_fd(fcntl(s.listener, F_SETFL, O_NONBLOCK), "O_NONBLOCK");
	s.client = check_fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
	s.other = check_fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
	check_fd(epoll_ctl(s.epoll, EPOLL_CTL_ADD, s.listener, &event), "epoll_ctl");
	return s;
}

static void come(const struct server *s, int client)
{
	check_fd(connect(client, (const struct sockaddr *)&s->where, sizeof(s->where)), "connect");
}

/* The error of one such call; what it opened is closed again. */
static int64_t call_error(const struct server *s, int call, int open_fd)
{
	int both[2] = {-1, -1};
	int fd = -1;
	int error;

	switch (call) {
	case OPEN:
		fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		break;
	case SOCKET:
		fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		break;
	case DUP:
		fd = dup(open_fd);
		break;
	case EVENTFD:
		fd = eventfd(0, EFD_CLOEXEC);
		break;
	case EPOLL:
		fd = epoll_create1(EPOLL_CLOEXEC);
		break;
	case PIPE:
		fd = pipe2(both, O_CLOEXEC);
		break;
	case SEND:
		return send(s->client, "", 1, MSG_NOSIGNAL) == 1 ? 0 : errno;
	case DUP2:
		return dup2(s->epoll, open_fd) == open_fd ? 0 : errno;
	default:
		fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC);
		break;
	}
	error = fd < 0 ? errno : 0;
	if (both[0] >= 0) {
		close(both[0]);
		close(both[1]);
	} else if (fd >= 0) {
		close(fd);
	}
	return error;
}

static void call_when_full(void)
{
	struct server s = server_with(EPOLLIN);
	int open_fd = use_up();

	for (int call = 0; call < CALLS; call++) {
		if (call == ACCEPT)
			come(&s, s.client);
		found->full_error[call] = call_error(&s, call, open_fd);
	}
	close(open_fd);
	found->after_error[SEND] = call_error(&s, SEND, s.epoll);
	found->after_error[ACCEPT] = call_error(&s, ACCEPT, s.epoll); /* the only client */
	for (int call = 0; call <= ACCEPT_EMPTY; call++)
		found->after_error[call] = call_error(&s, call, s.epoll);
	found->after_error[DUP2] = dup2(s.epoll, s.other) == s.other ? 0 : errno;
}

/* --- a client comes to a full server --------------------------------------- */

/* Gives up the spare descriptor for as long as it takes to accept a client and to close it. */
static void turn_away(const struct server *s, int *spare)
{
	int fd;

	close(*spare);
	fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC);
	if (fd >= 0) {
		close(fd);
		found->turned_away++;
	}
	*spare = check_fd(eventfd(0, EFD_CLOEXEC), "eventfd");
}

/* The server's loop for so long; returns how often it woke up. */
static int64_t serve(const struct server *s, int64_t for_ns, int *spare)
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
			if (spare)
				turn_away(s, spare);
		}
	}
	return wakeups;
}

static void serve_full(uint32_t events, bool with_spare)
{
	struct server s = server_with(events);
	int spare = check_fd(eventfd(0, EFD_CLOEXEC), "eventfd");
	int open_fd = use_up();
	struct span all = {0};

	found->idle_wakeups = serve(&s, spin_ms * 1000000 / 2, with_spare ? &spare : NULL);
	come(&s, s.client);
	span_begin(&all);
	found->spin_wakeups = serve(&s, spin_ms * 1000000, with_spare ? &spare : NULL);
	span_end(&all);
	found->spin_ns = span_wall(&all);
	found->spin_cpu_ns = all.cpu_ns;
	close(open_fd);
	/* accept in the loop, and if the loop was not woken for it: would it work? */
	found->after_wakeups = serve(&s, spin_ms * 1000000 / 2, NULL);
	if (found->after_wakeups == 0) {
		int fd = accept4(s.listener, NULL, NULL, SOCK_CLOEXEC);

		found->after_accept_error = fd < 0 ? errno : 0;
	}
}

static void serve_level(void)
{
	serve_full(EPOLLIN, false);
}

static void serve_edge(void)
{
	serve_full(EPOLLIN | EPOLLET, false);
}

static void serve_spare(void)
{
	serve_full(EPOLLIN, true);
}

/* --- FD_SETSIZE ------------------------------------------------------------ */

static void poll_high(void)
{
	rlim_t hard = limit_now().rlim_max;
	int low = check_fd(eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd");
	struct pollfd polled = {.events = POLLIN};
	eventfd_t value = 0;

	check(set_limit(hard, hard), "setrlimit");
	polled.fd = fcntl(low, F_DUPFD_CLOEXEC, FD_SETSIZE);
	found->number = polled.fd < 0 ? -errno : polled.fd;
	found->ready = polled.fd >= 0 && poll(&polled, 1, 0) == 1 && polled.revents == POLLIN &&
		       eventfd_read(polled.fd, &value) == 0 && value == 1;
}

/* --- trials ---------------------------------------------------------------- */

static void (*const works[])(void) = {
	[FOUND] = fill_as_found, [AT_1024] = fill_1024,   [RAISED] = fill_raised,
	[ABOVE] = raise_above,   [FULL] = call_when_full, [LEVEL] = serve_level,
	[EDGE] = serve_edge,     [SPARE] = serve_spare,   [POLL] = poll_high,
};

/* Does it in a process of its own, which its limits end with. */
static void measure(size_t variant)
{
	int status = 0;
	pid_t child;

	*found = (struct found){.soft = (int64_t)limit_now().rlim_cur,
				.hard = (int64_t)limit_now().rlim_max};
	child = child_fork();
	if (child == 0) {
		signal(SIGINT, SIG_IGN); /* of the terminal: it ends with its parent, not before */
		works[variant]();
		_exit(0);
	}
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			err(EXIT_USAGE, "waitpid");
	if (status != 0 && !run_stopped())
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

static void record(struct run *run, size_t variant)
{
	switch (variant) {
	case FOUND:
	case AT_1024:
	case RAISED:
		run_record(run, (struct field[]){{"soft_limit", found->soft},
						 {"hard_limit", found->hard},
						 {"limit", found->limit},
						 {"open_fds", found->open},
						 {"highest_fd", found->highest},
						 {"errno", found->error},
						 {"error", .text = text_errno((int)found->error)},
						 {0}});
		break;
	case ABOVE:
		run_record(run, (struct field[]){{"root", geteuid() == 0},
						 {"above_errno", found->above_error},
						 {"above_nr_open_errno", found->nr_open_error},
						 {"unprivileged_errno", found->dropped_error},
						 {"nr_open", number_in("/proc/sys/fs/nr_open")},
						 {"file_max", number_in("/proc/sys/fs/file-max")},
						 {0}});
		break;
	case FULL:
		record_calls(run);
		break;
	case POLL:
		run_record(run, (struct field[]){{"fd", found->number},
						 {"ready", found->ready},
						 {"fd_setsize", FD_SETSIZE},
						 {"fd_set_bits", 8 * (int64_t)sizeof(fd_set)},
						 {0}});
		break;
	default:
		run_record(run, (struct field[]){{"idle_wakeups", found->idle_wakeups},
						 {"wakeups", found->spin_wakeups},
						 {"refusals", found->refusals},
						 {"elapsed_ns", found->spin_ns},
						 {"cpu_ns", found->spin_cpu_ns},
						 {"turned_away", found->turned_away},
						 {"after_wakeups", found->after_wakeups},
						 {"after_accept_errno", found->after_accept_error},
						 {0}});
		break;
	}
}

/* --- report ---------------------------------------------------------------- */

static int64_t figure(struct run *run, size_t variant, const char *field)
{
	struct values values = run_values(run, variant, field);

	return values.n ? (int64_t)stats_quantile(values, 0.5) : -1;
}

static bool has(struct run *run, size_t variant)
{
	return run_selected(run, variant);
}

static void print_numbers(struct run *run)
{
	FILE *out = run_out(run);

	if (!has(run, FOUND) && !has(run, AT_1024) && !has(run, RAISED))
		return;
	fprintf(out, "  %-10s %11s %11s %12s %16s\n", "limit", "soft", "open", "highest",
		"the next one");
	for (size_t v = FOUND; v <= RAISED; v++)
		if (has(run, v))
			fprintf(out, "  %-10s %11s %11s %12s %16s\n", variants[v].name,
				text_count(figure(run, v, "limit")),
				text_count(figure(run, v, "open_fds")),
				text_count(figure(run, v, "highest_fd")),
				figure(run, v, "errno") == 0
					? "not tried"
					: text_errno((int)figure(run, v, "errno")));
	fputs("\n", out);
}

static void print_above(struct run *run)
{
	if (!has(run, ABOVE))
		return;
	run_say(run,
		"One more than the hard limit: %s as this user%s, %s without privileges; one more "
		"than fs.nr_open (%s): %s. All processes together: fs.file-max, %s.",
		text_errno((int)figure(run, ABOVE, "above_errno")),
		figure(run, ABOVE, "root") == 1 ? " (root)" : "",
		figure(run, ABOVE, "unprivileged_errno") < 0
			? "not tried"
			: text_errno((int)figure(run, ABOVE, "unprivileged_errno")),
		text_count(figure(run, ABOVE, "nr_open")),
		figure(run, ABOVE, "above_nr_open_errno") < 0
			? "not tried"
			: text_errno((int)figure(run, ABOVE, "above_nr_open_errno")),
		text_count(figure(run, ABOVE, "file_max")));
	fputs("\n", run_out(run));
}

static int call_figure(struct run *run, const char *field, int call)
{
	struct values values = run_values(run, FULL, field);

	return values.n > (size_t)call ? (int)values.at[call] : -1;
}

static void print_calls(struct run *run)
{
	FILE *out = run_out(run);

	if (!has(run, FULL))
		return;
	fprintf(out, "  %-18s %14s %18s\n", "call", "at the limit", "after one close");
	for (int call = 0; call < CALLS; call++)
		fprintf(out, "  %-18s %14s %18s\n", calls[call],
			text_errno((int)call_figure(run, "full_errno", call)),
			text_errno((int)call_figure(run, "after_errno", call)));
	fputs("\n", out);
}

static void print_servers(struct run *run)
{
	FILE *out = run_out(run);

	if (!has(run, LEVEL) && !has(run, EDGE) && !has(run, SPARE))
		return;
	fprintf(out, "  %-8s %13s %14s %8s %12s %16s\n", "a full", "wake-ups,", "wake-ups, one", "",
		"the client", "and after");
	fprintf(out, "  %-8s %13s %14s %8s %12s %16s\n", "server", "nobody there",
		text_format("waits %s", text_time((double)spin_ms * 1e6)), "CPU", "meanwhile",
		"one close");
	for (size_t v = LEVEL; v <= SPARE; v++) {
		bool away = figure(run, v, "turned_away") > 0;

		if (!has(run, v))
			continue;
		fprintf(out, "  %-8s %13s %14s %8s %12s %16s\n", variants[v].name,
			text_count((int64_t)stats_sum(run_values(run, v, "idle_wakeups"))),
			text_count(figure(run, v, "wakeups")),
			text_share(stats_sum(run_values(run, v, "cpu_ns")) /
				   stats_sum(run_values(run, v, "elapsed_ns"))),
			away ? "is told" : "waits",
			away                                        ? "-"
			: figure(run, v, "after_wakeups") > 0       ? "is served"
			: figure(run, v, "after_accept_errno") == 0 ? "still waits"
								    : "lost");
	}
	fputs("\n", out);
}

static void judge(struct run *run)
{
	int64_t soft = figure(run, FOUND, "soft_limit");
	int64_t here = figure(run, FOUND, "open_fds");
	int64_t usual = figure(run, AT_1024, "open_fds");
	int64_t raised = figure(run, RAISED, "open_fds");
	const char *rest = "";

	if (!has(run, FOUND) || !has(run, AT_1024) || !has(run, RAISED))
		return;
	if (has(run, POLL))
		rest = text_format("; select's FD_SETSIZE stays %d", FD_SETSIZE);
	run_verdict(run, "poll-fd-1024", here == USUAL && raised > usual ? HOLDS : DEPENDS,
		    (struct field[]){{"soft_limit", soft},
				     {"hard_limit", figure(run, FOUND, "hard_limit")},
				     {"open_fds", here},
				     {"open_at_1024_fds", usual},
				     {"open_raised_fds", raised},
				     {0}},
		    "as found, %s; with a soft limit of %s, %s are. Raised in the process to the "
		    "hard limit: %s%s%s",
		    text_format(figure(run, FOUND, "errno")
					? "%s are open when the next one is refused"
					: "%s are open and more could be",
				text_count(here)),
		    text_count(figure(run, AT_1024, "limit")), text_count(usual),
		    text_count(raised), figure(run, RAISED, "errno") ? "" : " and no end", rest);
}

static void control(struct run *run)
{
	for (size_t v = FOUND; v <= RAISED; v++)
		if (has(run, v))
			run_control(
				run,
				figure(run, v, "open_fds") ==
					(figure(run, v, "errno") ? figure(run, v, "limit") : most),
				"%s: not as many could be opened as the limit says",
				variants[v].name);
	if (has(run, FULL))
		run_control(run,
			    call_figure(run, "after_errno", OPEN) == 0 &&
				    call_figure(run, "after_errno", ACCEPT) == 0,
			    "open or accept failed when a descriptor was free again");
	for (size_t v = LEVEL; v <= SPARE; v++)
		if (has(run, v))
			run_control(run, stats_sum(run_values(run, v, "idle_wakeups")) == 0,
				    "%s: woke up though nobody was there", variants[v].name);
	if (has(run, POLL))
		run_control(run, figure(run, POLL, "fd") < 0 || figure(run, POLL, "ready") == 1,
			    "poll did not see a descriptor of %s",
			    text_count(figure(run, POLL, "fd")));
}

static void report(struct run *run)
{
	print_numbers(run);
	print_above(run);
	print_calls(run);
	print_servers(run);
	if (has(run, POLL) && figure(run, POLL, "fd") >= FD_SETSIZE)
		run_say(run,
			"poll saw descriptor %s. An fd_set has %s bits, compiled in: no limit "
			"changes it.",
			text_count(figure(run, POLL, "fd")),
			text_count(figure(run, POLL, "fd_set_bits")));
	judge(run);
	control(run);
	run_why(run, "a descriptor is an index into the process's table, and RLIMIT_NOFILE is how "
		     "long that may get. accept takes nobody out of the queue if there is no index "
		     "left, so the listening socket stays ready.");
}

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);

	found = child_share(sizeof(*found));
	while (run_next(run)) {
		measure(run_variant(run));
		if (!run_stopped())
			record(run, run_variant(run));
	}
	return run_end(run, report);
}
