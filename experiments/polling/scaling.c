/* SPDX-License-Identifier: MIT */
/*
 * scaling - what does one readiness wait cost, by how many descriptors it watches?
 *
 * select and poll are handed the whole list each time, and walk through it each time.  epoll and
 * io_uring keep the list in the kernel, and whatever becomes ready puts itself into a queue.
 *
 * A cell is a number of watched eventfds, of which the last one, or the last tenth, is made ready
 * by a write, waited for without limit, found, read, and armed again where that is needed.  They
 * are the last of the list, so that a scan has queued on all the others by then, as if it had to
 * sleep.  What is timed is the wait: from the call until the program knows who is ready, and
 * arming.  The write is timed as well (trigger), for inside it epoll and io_uring do their share.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <unistd.h>

#include "check.h"
#include "exp.h"
#include "old.h"
#include "files.h"
#include "span.h"
#include "text.h"
#include "uring.h"

enum { SELECT, POLL, EPOLL, EDGE, ONESHOT, URING, URING_ONCE, VARIANTS };
enum { KEPT_FREE = 64, LEAST_WAITS = 5, MOST_WAITS = 2000, WARM = 2 };
enum { CELLS = 32, TENTH_FROM = 64, FIT_FROM = 256 };

static const struct variant variants[] = {
	[SELECT] = {"select", "as many as fit under FD_SETSIZE"},
	[POLL] = {"poll", "as many as there may be"},
	[EPOLL] = {"epoll", "level-triggered, as Python's DefaultSelector"},
	[EDGE] = {"epoll-edge", "edge-triggered"},
	[ONESHOT] = {"epoll-once", "EPOLLONESHOT, armed again by epoll_ctl"},
	[URING] = {"uring", "io_uring, multishot poll"},
	[URING_ONCE] = {"uring-once", "io_uring, one-shot poll, armed again with the next wait"},
	{0}};

static const struct claim claims[] = {
	{"poll-select-scans", "select scans the whole list, so its cost grows with the number of "
			      "sockets; epoll's does not"},
	{"poll-default-selector", "the best selector on Linux is epoll"},
	{0}};

static int64_t watched = 20000;
static int64_t cell_ms = 2;

static const struct opt opts[] = {{'w', "watched", "descriptors at most, as the hard limit allows",
				   .num = &watched, .min = 512, .quick = 4000, .max = 200000},
				  {'m', "time", "a cell is measured for so long", .num = &cell_ms,
				   .min = 1, .quick = 1, .max = 1000, .unit = OPT_MS},
				  {0}};

static const struct experiment about = {
	.name = "scaling",
	.group = "polling",
	.summary = "What does one readiness wait cost, by how many descriptors it watches?",
	.claims = claims,
	.opts = opts,
	.variants = variants,
	.trials = 12,
	.quick_trials = 3,
};

/* What is measured, in this order: by how many are watched, then by how many are ready. */
static struct cell {
	int watched, ready;
} cells[CELLS];
static size_t cells_n;

static int *fds;        /* the eventfds */
static int uring_error; /* why io_uring cannot be used; 0 */

/* One cell of one way. */
struct watch {
	const struct way *way;
	struct cell cell;
	int *found; /* descriptors that the last wait said to be ready */
	int found_n;

	fd_set set;                 /* of select */
	struct pollfd *polled;      /* of poll */
	int epoll;                  /* of epoll */
	struct epoll_event *events; /* of epoll */
	struct uring ring;          /* of io_uring */
};

struct way {
	bool (*begin)(struct watch *w);       /* false: so many cannot be watched this way */
	void (*wait)(struct watch *w);        /* until they are ready; tells whom it found */
	void (*arm)(struct watch *w, int fd); /* again, where a way forgets whom it told of */
	void (*end)(struct watch *w);
	uint32_t flags; /* events of epoll; IORING_POLL_ADD_MULTI */
};

static void find(struct watch *w, int fd)
{
	w->found[w->found_n++] = fd;
}

/* --- select -------------------------------------------------------------- */

static bool begin_select(struct watch *w)
{
	if (fds[w->cell.watched - 1] >= FD_SETSIZE)
		return false;
	FD_ZERO(&w->set);
	for (int i = 0; i < w->cell.watched; i++)
		FD_SET(fds[i], &w->set);
	return true;
}

static void wait_select(struct watch *w)
{
	fd_set ready = w->set; /* the call overwrites it */
	int n = select(fds[w->cell.watched - 1] + 1, &ready, NULL, NULL, NULL);

	for (int i = 0; i < w->cell.watched && w->found_n < n; i++)
		if (FD_ISSET(fds[i], &ready))
			find(w, fds[i]);
}

/* --- poll ---------------------------------------------------------------- */

static bool begin_poll(struct watch *w)
{
	for (int i = 0; i < w->cell.watched; i++)
		w->polled[i] = (struct pollfd){.fd = fds[i], .events = POLLIN};
	return true;
}

static void wait_poll(struct watch *w)
{
	int n = poll(w->polled, (nfds_t)w->cell.watched, -1);

	for (int i = 0; i < w->cell.watched && w->found_n < n; i++)
		if (w->polled[i].revents)
			find(w, w->polled[i].fd);
}

/* --- epoll --------------------------------------------------------------- */

static void change_epoll(struct watch *w, int change, int fd)
{
	struct epoll_event event = {.events = w->way->flags, .data.fd = fd};

	check_fd(epoll_ctl(w->epoll, change, fd, &event), "epoll_ctl");
}

static bool begin_epoll(struct watch *w)
{
	w->epoll = check_fd(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
	for (int i = 0; i < w->cell.watched; i++)
		change_epoll(w, EPOLL_CTL_ADD, fds[i]);
	return true;
}

static void wait_epoll(struct watch *w)
{
	int n = epoll_wait(w->epoll, w->events, w->cell.ready, -1);

	for (int i = 0; i < n; i++)
		find(w, w->events[i].data.fd);
}

static void arm_epoll(struct watch *w, int fd)
{
	change_epoll(w, EPOLL_CTL_MOD, fd);
}

static void end_epoll(struct watch *w)
{
	close(w->epoll);
}

/* --- io_uring ------------------------------------------------------------ */

static void arm_uring(struct watch *w, int fd)
{
	*uring_ask(&w->ring) = (struct io_uring_sqe){.opcode = IORING_OP_POLL_ADD,
						     .fd = fd,
						     .len = w->way->flags,
						     .poll32_events = POLLIN,
						     .user_data = (uint64_t)fd};
}

static bool begin_uring(struct watch *w)
{
	if (uring_error || uring_open(&w->ring, (unsigned int)w->cell.watched) != 0)
		return false; /* rings are limited, in old kernels also by RLIMIT_MEMLOCK */
	for (int i = 0; i < w->cell.watched; i++)
		arm_uring(w, fds[i]);
	check(uring_enter(&w->ring, 0), "io_uring_enter");
	return true;
}

static void wait_uring(struct watch *w)
{
	struct io_uring_cqe done;

	if (uring_enter(&w->ring, (unsigned int)w->cell.ready) != 0)
		return;
	while (w->found_n < w->cell.ready && uring_done(&w->ring, &done)) {
		find(w, done.res > 0 ? (int)done.user_data : -1);
		if (w->way->flags && !(done.flags & IORING_CQE_F_MORE))
			arm_uring(w, (int)done.user_data); /* else the next wait has no end */
	}
}

/* Removes first: what is only closed is removed some time later, by a thread of the kernel's. */
static void end_uring(struct watch *w)
{
	struct io_uring_cqe done;

	for (int i = 0; i < w->cell.watched; i++) {
		struct io_uring_sqe *request = uring_ask(&w->ring);

		if (!request) { /* those to be armed again have taken its place */
			check(uring_enter(&w->ring, 0), "io_uring_enter");
			request = uring_ask(&w->ring);
		}
		*request = (struct io_uring_sqe){
			.opcode = IORING_OP_POLL_REMOVE, .fd = -1, .addr = (uint64_t)fds[i]};
	}
	check(uring_enter(&w->ring, 0), "io_uring_enter");
	while (uring_done(&w->ring, &done))
		;
	uring_close(&w->ring);
}

static const struct way ways[] = {
	[SELECT] = {begin_select, wait_select, NULL, NULL, 0},
	[POLL] = {begin_poll, wait_poll, NULL, NULL, 0},
	[EPOLL] = {begin_epoll, wait_epoll, NULL, end_epoll, EPOLLIN},
	[EDGE] = {begin_epoll, wait_epoll, NULL, end_epoll, EPOLLIN | EPOLLET},
	[ONESHOT] = {begin_epoll, wait_epoll, arm_epoll, end_epoll, EPOLLIN | EPOLLONESHOT},
	[URING] = {begin_uring, wait_uring, NULL, end_uring, IORING_POLL_ADD_MULTI},
	[URING_ONCE] = {begin_uring, wait_uring, arm_uring, end_uring, 0},
};

/* Whether io_uring is here and can watch for more than one event: 0 or an error number. */
static int try_uring(void)
{
	struct watch w = {.way = &ways[URING], .cell = {1, 1}};
	struct io_uring_cqe done = {0};
	int error = uring_open(&w.ring, 1);

	if (error || !w.ring.requests)
		return error;
	eventfd_write(fds[0], 1);
	arm_uring(&w, fds[0]);
	error = uring_enter(&w.ring, 1);
	if (!error && !(uring_done(&w.ring, &done) && done.flags & IORING_CQE_F_MORE))
		error = EOPNOTSUPP;
	end_uring(&w);
	eventfd_read(fds[0], &(eventfd_t){0});
	return error;
}

/* --- a cell -------------------------------------------------------------- */

/* Where each of many waits, and the writes before it, goes to. */
static int64_t wait_ns[MOST_WAITS], trigger_ns[MOST_WAITS];

static void make_ready(const struct watch *w)
{
	for (int i = w->cell.watched - w->cell.ready; i < w->cell.watched; i++)
		if (eventfd_write(fds[i], 1) != 0)
			err(EXIT_USAGE, "write to an eventfd");
}

/*
 * Reads what was found.  Each of the ready ones was written to once and can be read once: only if
 * exactly these were found, as many can be read as are ready.
 */
static bool take(const struct watch *w)
{
	int taken = 0;

	for (int i = 0; i < w->found_n; i++) {
		eventfd_t value = 0;

		taken += eventfd_read(w->found[i], &value) == 0 && value == 1;
	}
	return taken == w->cell.ready && w->found_n == w->cell.ready;
}

/* One wait; false if it found others than those that are ready. */
static bool go_round(struct watch *w, int64_t *trigger, int64_t *wait)
{
	int64_t write_ns = span_now();
	int64_t begin_ns, end_ns;
	bool right;

	make_ready(w);
	begin_ns = span_now();
	w->found_n = 0;
	w->way->wait(w);
	end_ns = span_now();
	right = take(w);
	*trigger = begin_ns - write_ns;
	*wait = end_ns - begin_ns;
	if (w->way->arm) {
		begin_ns = span_now();
		for (int i = 0; i < w->found_n; i++)
			w->way->arm(w, w->found[i]);
		*wait += span_now() - begin_ns;
	}
	return right;
}

/* What the clock itself takes, which is in each of the times. */
static int64_t clock_itself_ns(void)
{
	int64_t took[64];

	for (int i = 0; i < 64; i++) {
		took[i] = -span_now();
		took[i] += span_now();
	}
	return (int64_t)stats_quantile((struct values){took, 64}, 0.5);
}

/* A cell, if so many can be watched this way. */
static void measure(struct run *run, struct watch *w)
{
	int64_t begin_ns = span_now();
	int64_t wrong = 0;
	int64_t setup_ns, end_ns;
	struct values wait = {wait_ns, 0}, trigger = {trigger_ns, 0};

	if (!w->way->begin(w))
		return;
	setup_ns = span_now() - begin_ns;
	for (int i = 0; i < WARM; i++)
		wrong += !go_round(w, &trigger_ns[0], &wait_ns[0]);
	end_ns = span_now() + cell_ms * 1000000;
	while (wait.n < MOST_WAITS && (wait.n < LEAST_WAITS || span_now() < end_ns))
		wrong += !go_round(w, &trigger_ns[trigger.n++], &wait_ns[wait.n++]);
	if (w->way->end)
		w->way->end(w);
	for (int i = 0; i < w->cell.watched && wrong; i++)
		eventfd_read(fds[i], &(eventfd_t){0}); /* the next cell begins with none ready */
	run_record(run, (struct field[]){{"watched_fds", w->cell.watched},
					 {"ready_fds", w->cell.ready},
					 {"waits", (int64_t)wait.n},
					 {"wait_ns", (int64_t)stats_quantile(wait, 0.5)},
					 {"trigger_ns", (int64_t)stats_quantile(trigger, 0.5)},
					 {"setup_ns", setup_ns},
					 {"clock_ns", clock_itself_ns()},
					 {"wrong_waits", wrong},
					 {0}});
}

/* --- what can be watched ------------------------------------------------- */

/* Opens as many eventfds as are asked for, or as the hard limit allows; returns how many. */
static int open_all(void)
{
	int64_t room = files_allow(INT64_MAX) - KEPT_FREE;
	int n = 0;

	fds = calloc((size_t)watched, sizeof(*fds));
	if (!fds)
		err(EXIT_USAGE, "calloc");
	while (n < watched && n < room && (fds[n] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) >= 0)
		n++;
	return n;
}

static void plan(int most)
{
	static const int sizes[] = {1,    4,    16,   64,    256,   512,    1000,
				    2000, 4000, 8000, 20000, 50000, 100000, 200000};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		int n = sizes[i] < most ? sizes[i] : most;

		if (cells_n > 0 && n < 3 * cells[cells_n - 1].watched / 2)
			break;
		cells[cells_n++] = (struct cell){n, 1};
		if (n >= TENTH_FROM)
			cells[cells_n++] = (struct cell){n, n / 10};
	}
}

/* --- report -------------------------------------------------------------- */

/* One field of a way's samples of one cell, a value a trial. */
static struct values cell_values(struct run *run, size_t way, struct cell cell, const char *field)
{
	return run_values_where(
		run, way, field,
		(struct field[]){{"watched_fds", cell.watched}, {"ready_fds", cell.ready}, {0}});
}

/* The slope of log(cost) over log(watched), by least squares: of trial t, n costs. */
static double slope(const double *log_watched, const struct values *costs, size_t n, size_t t)
{
	double x = 0, y = 0, xx = 0, xy = 0;

	for (size_t i = 0; i < n; i++) {
		double log_cost = log((double)costs[i].at[t]);

		x += log_watched[i];
		y += log_cost;
		xx += log_watched[i] * log_watched[i];
		xy += log_watched[i] * log_cost;
	}
	return ((double)n * xy - x * y) / ((double)n * xx - x * x);
}

/* The exponent with which a wait's cost grows from FIT_FROM descriptors on: the trials' median. */
static struct interval exponent(struct run *run, size_t way)
{
	struct values slopes = cell_values(run, way, cells[0], "wait_ns"); /* as many as trials */
	struct interval millionths;
	struct values costs[CELLS];
	double log_watched[CELLS];
	size_t n = 0;

	for (size_t c = 0; c < cells_n; c++) {
		struct values cost = cell_values(run, way, cells[c], "wait_ns");

		if (cells[c].watched >= FIT_FROM && cells[c].ready == 1 && cost.n == slopes.n) {
			log_watched[n] = log(cells[c].watched);
			costs[n++] = cost;
		}
	}
	if (n < 2)
		return (struct interval){NAN, NAN, NAN};
	for (size_t t = 0; t < slopes.n; t++)
		slopes.at[t] = (int64_t)(slope(log_watched, costs, n, t) * 1e6);
	millionths = stats_median(slopes);
	return (struct interval){millionths.mid / 1e6, millionths.low / 1e6, millionths.high / 1e6};
}

/* What an event costs in all: making it ready, and the wait. */
static struct values events(struct run *run, size_t way, struct cell cell)
{
	struct values wait = cell_values(run, way, cell, "wait_ns");
	struct values trigger = cell_values(run, way, cell, "trigger_ns");

	for (size_t i = 0; i < wait.n; i++)
		wait.at[i] += trigger.at[i];
	return wait;
}

static const char *figure(double value)
{
	return text_format("%.2f", value);
}

/* A row of the table: a value of each way, NAN for none, and how it is written. */
static void print_row(struct run *run, const char *head, const double values[VARIANTS],
		      const char *(*word)(double value))
{
	fprintf(run_out(run), "  %-8s", head);
	for (size_t v = 0; v < VARIANTS; v++)
		fprintf(run_out(run), " %9s", isfinite(values[v]) ? word(values[v]) : "-");
	fputs("\n", run_out(run));
}

static void print_heads(struct run *run)
{
	fprintf(run_out(run), "  %-8s %9s %9s %9s %9s %9s %9s %9s\n", "watched", "select", "poll",
		"epoll", "ep-edge", "ep-once", "uring", "ur-once");
}

/* Of the cells with one ready descriptor the wait; of the others all of an event's cost. */
static void print_cells(struct run *run, bool tenth)
{
	print_heads(run);
	for (size_t c = 0; c < cells_n; c++) {
		double ns[VARIANTS];

		if ((cells[c].ready > 1) != tenth)
			continue;
		for (size_t v = 0; v < VARIANTS; v++)
			ns[v] = stats_quantile(tenth ? events(run, v, cells[c])
						     : cell_values(run, v, cells[c], "wait_ns"),
					       0.5) /
				cells[c].ready;
		print_row(run, text_count(cells[c].watched), ns, text_time);
	}
}

/* With 1,000 watched and one ready: a field's median, divided. */
static void print_at_1000(struct run *run, const char *head, const char *field, double by)
{
	double ns[VARIANTS];

	for (size_t v = 0; v < VARIANTS; v++)
		ns[v] = stats_quantile(cell_values(run, v, (struct cell){1000, 1}, field), 0.5) /
			by;
	print_row(run, head, ns, text_time);
}

static void print_table(struct run *run, const struct interval *exponents)
{
	double mid[VARIANTS];

	run_say(run,
		"One wait that finds one ready descriptor, the last of so many watched ones. "
		"exponent: cost ~ watched^exponent from %d on. At 1,000, write: what made it "
		"ready; join: to begin watching, for each.",
		FIT_FROM);
	fputs("\n", run_out(run));
	print_cells(run, false);
	for (size_t v = 0; v < VARIANTS; v++)
		mid[v] = exponents[v].mid;
	print_row(run, "exponent", mid, figure);
	print_at_1000(run, "write", "trigger_ns", 1);
	print_at_1000(run, "join", "setup_ns", 1000);
	fprintf(run_out(run), "\n  Write and wait for each ready one, when a tenth is ready:\n");
	print_cells(run, true);
	fputs("\n", run_out(run));
}

static void judge_scans(struct run *run, const struct interval *exponents)
{
	struct interval select = exponents[SELECT], poll = exponents[POLL];
	struct interval epoll = exponents[EPOLL];

	if (!run_selected(run, SELECT) || !run_selected(run, EPOLL))
		return;
	if (!isfinite(select.mid) || !isfinite(epoll.mid)) {
		old_verdict(run, "poll-select-scans", SKIPPED, NULL,
			    "too few descriptors are allowed here");
		return;
	}
	old_verdict(run, "poll-select-scans",
		    select.low > 0.8 && epoll.high < 0.2   ? HOLDS
		    : select.high < 0.5 || epoll.low > 0.2 ? REFUTED
							   : NOT_SEEN,
		    (struct field[]){{"select_exponent", .real = &select.mid},
				     {"select_low", .real = &select.low},
				     {"select_high", .real = &select.high},
				     {"poll_exponent", .real = &poll.mid},
				     {"poll_low", .real = &poll.low},
				     {"poll_high", .real = &poll.high},
				     {"epoll_exponent", .real = &epoll.mid},
				     {"epoll_low", .real = &epoll.low},
				     {"epoll_high", .real = &epoll.high},
				     {0}},
		    "from %d descriptors on select's cost grows with their number to the power "
		    "of %.2f (%.2f to %.2f)%s, epoll's %.2f (%.2f to %.2f)",
		    FIT_FROM, select.mid, select.low, select.high,
		    isfinite(poll.mid) ? text_format(", poll's %.2f (%.2f to %.2f)", poll.mid,
						     poll.low, poll.high)
				       : "",
		    epoll.mid, epoll.low, epoll.high);
}

/* The cheapest way there that is not epoll's; VARIANTS if none was measured. */
static size_t cheapest_rival(struct run *run, struct cell cell)
{
	static const size_t rivals[] = {SELECT, POLL, URING, URING_ONCE};
	size_t cheapest = VARIANTS;
	double least_ns = INFINITY;

	for (size_t i = 0; i < sizeof(rivals) / sizeof(*rivals); i++) {
		double ns = stats_quantile(events(run, rivals[i], cell), 0.5);

		if (ns < least_ns) {
			least_ns = ns;
			cheapest = rivals[i];
		}
	}
	return cheapest;
}

static void judge_default(struct run *run)
{
	static const int sizes[] = {1, 16, 1000};
	static const double margin = 0.05; /* what is closer together than that is called equal */
	int better = 0, worse = 0, cases = 0;
	const char *told = "";

	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		struct cell cell = {sizes[i], 1};
		size_t rival = cheapest_rival(run, cell);
		struct interval times;

		if (rival == VARIANTS || events(run, EPOLL, cell).n == 0)
			continue;
		times = stats_ratio(events(run, rival, cell), events(run, EPOLL, cell));
		told = text_format("%s%s at %s %s %.2f (%.2f to %.2f)", told, *told ? "," : "",
				   text_count(sizes[i]), variants[rival].name, times.mid, times.low,
				   times.high);
		cases++;
		better += times.low > 1 + margin;
		worse += times.high < 1 - margin;
	}
	if (cases == 0)
		return;
	old_verdict(
		run, "poll-default-selector",
		worse == 0       ? HOLDS
		: worse == cases ? REFUTED
				 : DEPENDS,
		(struct field[]){
			{"cases", cases}, {"epoll_cheapest", better}, {"epoll_beaten", worse}, {0}},
		"write and wait of the cheapest other way, as a multiple of epoll's, by "
		"descriptors watched:%s. %s",
		told,
		worse ? text_format("epoll is beaten by more than 5 %% in %d of %d cases", worse,
				    cases)
		      : "Nobody beats epoll by more than 5 %");
}

static void report(struct run *run)
{
	struct interval exponents[VARIANTS];

	for (size_t v = 0; v < VARIANTS; v++)
		exponents[v] = exponent(run, v);
	print_table(run, exponents);
	judge_scans(run, exponents);
	judge_default(run);
	for (size_t v = 0; v < VARIANTS; v++)
		old_control(run, run_sum(run, v, "wrong_waits") == 0,
			    "%s: a wait found others than those that were ready", variants[v].name);
	old_why(run, "select and poll look at every descriptor in every call. epoll and io_uring "
		     "are told once whom to watch; who becomes ready calls them back, inside the "
		     "write, and the wait only empties a queue.");
	if (uring_error)
		old_note(run, "no io_uring here: %s.", text_errno(uring_error));
}

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);
	struct watch w = {0};
	int most = open_all();

	if (most < 1)
		return run_skip(run, "no descriptor is left to open");
	plan(most);
	uring_error = try_uring();
	w.found = calloc((size_t)most, sizeof(*w.found));
	w.polled = calloc((size_t)most, sizeof(*w.polled));
	w.events = calloc((size_t)most, sizeof(*w.events));
	if (!w.found || !w.polled || !w.events)
		err(EXIT_USAGE, "calloc");
	while (run_next(run)) {
		w.way = &ways[run_variant(run)];
		for (size_t c = 0; c < cells_n && !run_stopped(); c++) {
			w.cell = cells[c];
			measure(run, &w);
		}
	}
	free(w.events);
	free(w.polled);
	free(w.found);
	free(fds);
	return old_end(run, report);
}
