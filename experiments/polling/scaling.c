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
#include <sys/resource.h>
#include <sys/select.h>
#include <unistd.h>

#include "check.h"
#include "exp.h"
#include "span.h"
#include "text.h"
#include "uring.h"

enum { SELECT, POLL, EPOLL, EDGE, ONESHOT, URING, URING_ONCE, VARIANTS };
enum { KEPT_FREE = 64, LEAST_WAITS = 5, MOST_WAITS = 2000, WARM = 2, FIT_FROM = 256 };
enum { CELLS = 32 };

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
static int uring_most;  /* the most descriptors that a ring can watch */

/* One cell of one way. */
struct watch {
	size_t way;
	struct cell cell;
	int *found; /* descriptors that the last wait said to be ready */
	int found_n;

	fd_set set;
	struct pollfd *polled;
	int epoll;
	struct epoll_event *events;
	struct uring ring;
};

/* --- the ways ------------------------------------------------------------ */

static void watch_epoll(struct watch *w, uint32_t events)
{
	w->epoll = check_fd(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
	for (int i = 0; i < w->cell.watched; i++) {
		struct epoll_event event = {.events = events, .data.fd = fds[i]};

		check_fd(epoll_ctl(w->epoll, EPOLL_CTL_ADD, fds[i], &event), "epoll_ctl");
	}
}

static void ask_poll(struct watch *w, int fd)
{
	struct io_uring_sqe *request = uring_ask(&w->ring);

	*request = (struct io_uring_sqe){.opcode = IORING_OP_POLL_ADD,
					 .fd = fd,
					 .len = w->way == URING ? IORING_POLL_ADD_MULTI : 0,
					 .poll32_events = POLLIN,
					 .user_data = (uint64_t)fd};
}

static void watch_uring(struct watch *w)
{
	check(uring_open(&w->ring, (unsigned int)w->cell.watched), "io_uring_setup");
	for (int i = 0; i < w->cell.watched; i++)
		ask_poll(w, fds[i]);
	check(uring_enter(&w->ring, 0), "io_uring_enter");
}

static void watch_begin(struct watch *w)
{
	switch (w->way) {
	case SELECT:
		FD_ZERO(&w->set);
		for (int i = 0; i < w->cell.watched; i++)
			FD_SET(fds[i], &w->set);
		break;
	case POLL:
		for (int i = 0; i < w->cell.watched; i++)
			w->polled[i] = (struct pollfd){.fd = fds[i], .events = POLLIN};
		break;
	case EPOLL:
		watch_epoll(w, EPOLLIN);
		break;
	case EDGE:
		watch_epoll(w, EPOLLIN | EPOLLET);
		break;
	case ONESHOT:
		watch_epoll(w, EPOLLIN | EPOLLONESHOT);
		break;
	default:
		watch_uring(w);
		break;
	}
}

/* Removes first: what is only closed is removed some time later, by a thread of the kernel's. */
static void unwatch_uring(struct watch *w)
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

static void watch_end(struct watch *w)
{
	if (w->way == URING || w->way == URING_ONCE)
		unwatch_uring(w);
	else if (w->way != SELECT && w->way != POLL)
		close(w->epoll);
}

static void wait_select(struct watch *w)
{
	fd_set ready = w->set; /* the call overwrites it */
	int left = select(fds[w->cell.watched - 1] + 1, &ready, NULL, NULL, NULL);

	for (int i = 0; i < w->cell.watched && left > 0; i++)
		if (FD_ISSET(fds[i], &ready)) {
			w->found[w->found_n++] = fds[i];
			left--;
		}
}

static void wait_poll(struct watch *w)
{
	int left = poll(w->polled, (nfds_t)w->cell.watched, -1);

	for (int i = 0; i < w->cell.watched && left > 0; i++)
		if (w->polled[i].revents) {
			w->found[w->found_n++] = w->polled[i].fd;
			left--;
		}
}

static void wait_epoll(struct watch *w)
{
	int n = epoll_wait(w->epoll, w->events, w->cell.ready, -1);

	for (int i = 0; i < n; i++)
		w->found[w->found_n++] = w->events[i].data.fd;
}

static void wait_uring(struct watch *w)
{
	struct io_uring_cqe done;

	if (uring_enter(&w->ring, (unsigned int)w->cell.ready) != 0)
		return;
	while (w->found_n < w->cell.ready && uring_done(&w->ring, &done)) {
		w->found[w->found_n++] = done.res > 0 ? (int)done.user_data : -1;
		if (w->way == URING && !(done.flags & IORING_CQE_F_MORE))
			ask_poll(w, (int)done.user_data); /* else the next wait has no end */
	}
}

static void (*const waits[])(struct watch *w) = {
	[SELECT] = wait_select,    [POLL] = wait_poll,     [EPOLL] = wait_epoll,
	[EDGE] = wait_epoll,       [ONESHOT] = wait_epoll, [URING] = wait_uring,
	[URING_ONCE] = wait_uring,
};

/* Arms those again that were found, where a way forgets them. */
static void arm(struct watch *w)
{
	for (int i = 0; i < w->found_n; i++)
		if (w->way == URING_ONCE) {
			ask_poll(w, w->found[i]);
		} else {
			struct epoll_event event = {.events = EPOLLIN | EPOLLONESHOT,
						    .data.fd = w->found[i]};

			check_fd(epoll_ctl(w->epoll, EPOLL_CTL_MOD, w->found[i], &event),
				 "epoll_ctl");
		}
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
	waits[w->way](w);
	end_ns = span_now();
	right = take(w);
	*trigger = begin_ns - write_ns;
	*wait = end_ns - begin_ns;
	if (w->way == ONESHOT || w->way == URING_ONCE) {
		begin_ns = span_now();
		arm(w);
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

static void record(struct run *run, const struct watch *w, size_t n, int64_t setup_ns,
		   int64_t wrong)
{
	struct values wait = {wait_ns, n};
	struct values trigger = {trigger_ns, n};

	run_record(run, (struct field[]){{"watched_fds", w->cell.watched},
					 {"ready_fds", w->cell.ready},
					 {"waits", (int64_t)n},
					 {"wait_ns", (int64_t)stats_quantile(wait, 0.5)},
					 {"trigger_ns", (int64_t)stats_quantile(trigger, 0.5)},
					 {"setup_ns", setup_ns},
					 {"clock_ns", clock_itself_ns()},
					 {"wrong_waits", wrong},
					 {0}});
}

static void measure(struct run *run, struct watch *w)
{
	int64_t begin_ns = span_now();
	int64_t wrong = 0;
	int64_t setup_ns, end_ns;
	size_t n = 0;

	watch_begin(w);
	setup_ns = span_now() - begin_ns;
	for (int i = 0; i < WARM; i++)
		wrong += !go_round(w, &trigger_ns[0], &wait_ns[0]);
	end_ns = span_now() + cell_ms * 1000000;
	while (n < MOST_WAITS && (n < LEAST_WAITS || span_now() < end_ns)) {
		wrong += !go_round(w, &trigger_ns[n], &wait_ns[n]);
		n++;
	}
	watch_end(w);
	for (int i = 0; i < w->cell.watched && wrong; i++) {
		eventfd_t value;

		eventfd_read(fds[i], &value); /* the next cell begins with none ready */
	}
	record(run, w, n, setup_ns, wrong);
}

/* Whether that many can be watched this way. */
static bool fits(size_t way, struct cell cell)
{
	if (way == SELECT)
		return fds[cell.watched - 1] < FD_SETSIZE;
	if (way == URING || way == URING_ONCE)
		return cell.watched <= uring_most;
	return true;
}

static void measure_all(struct run *run, struct watch *w)
{
	w->way = run_variant(run);
	for (size_t c = 0; c < cells_n && !run_stopped(); c++)
		if (fits(w->way, cells[c])) {
			w->cell = cells[c];
			measure(run, w);
		}
}

/* --- what can be watched ------------------------------------------------- */

/* Opens as many eventfds as are asked for, or as the hard limit allows. */
static int open_all(void)
{
	struct rlimit limit;
	int64_t room;
	int n = 0;

	check_fd(getrlimit(RLIMIT_NOFILE, &limit), "getrlimit");
	limit.rlim_cur = limit.rlim_max;
	check_fd(setrlimit(RLIMIT_NOFILE, &limit), "setrlimit");
	room = (int64_t)limit.rlim_max - KEPT_FREE;
	fds = calloc((size_t)watched, sizeof(*fds));
	if (!fds)
		err(EXIT_USAGE, "calloc");
	while (n < watched && n < room) {
		fds[n] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (fds[n] < 0)
			break; /* then there are fewer */
		n++;
	}
	return n;
}

static void plan(int most)
{
	static const struct {
		int watched;
		bool share;
	} sizes[] = {{1, false},    {4, false},    {16, false},    {64, true},    {256, true},
		     {512, false},  {1000, true},  {2000, false},  {4000, true},  {8000, false},
		     {20000, true}, {50000, true}, {100000, true}, {200000, true}};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		int n = sizes[i].watched < most ? sizes[i].watched : most;

		if (cells_n > 0 && n < 3 * cells[cells_n - 1].watched / 2)
			break;
		cells[cells_n++] = (struct cell){n, 1};
		if (sizes[i].share || n == most)
			cells[cells_n++] = (struct cell){n, n < 10 ? 1 : n / 10};
	}
}

/* Whether io_uring is here and can watch for more than one event: 0 or an error number. */
static int try_uring(void)
{
	struct watch w = {.way = URING, .cell = {1, 1}};
	struct io_uring_cqe done = {0};
	int error = uring_open(&w.ring, 1);

	if (error || !w.ring.requests)
		return error;
	eventfd_write(fds[0], 1);
	ask_poll(&w, fds[0]);
	error = uring_enter(&w.ring, 1);
	if (!error && !(uring_done(&w.ring, &done) && done.flags & IORING_CQE_F_MORE))
		error = EOPNOTSUPP;
	unwatch_uring(&w);
	eventfd_read(fds[0], &(eventfd_t){0});
	return error;
}

/* Rings are limited, in old kernels also by RLIMIT_MEMLOCK. */
static int most_of_uring(void)
{
	for (size_t c = cells_n; c-- > 0;) {
		struct uring ring;

		if (uring_open(&ring, (unsigned int)cells[c].watched) == 0) {
			uring_close(&ring);
			return cells[c].watched;
		}
	}
	return 0;
}

/* --- report -------------------------------------------------------------- */

/* One field of a way's samples of one cell, a value a trial; a copy. */
static struct values cell_values(struct run *run, size_t way, struct cell cell, const char *field)
{
	struct values n = run_values(run, way, "watched_fds");
	struct values k = run_values(run, way, "ready_fds");
	struct values values = run_values(run, way, field);
	size_t kept = 0;

	for (size_t i = 0; i < values.n; i++)
		if (n.at[i] == cell.watched && k.at[i] == cell.ready)
			values.at[kept++] = values.at[i];
	values.n = kept;
	return values;
}

static double cell_median(struct run *run, size_t way, struct cell cell, const char *field)
{
	return stats_quantile(cell_values(run, way, cell, field), 0.5);
}

/* Median and interval of millionths. */
static struct interval millionths(struct values values)
{
	struct interval found = stats_median(values);

	return (struct interval){found.mid / 1e6, found.low / 1e6, found.high / 1e6};
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
	struct values costs[CELLS], slopes;
	double log_watched[CELLS];
	size_t n = 0;

	for (size_t c = 0; c < cells_n; c++) {
		struct values cost = cell_values(run, way, cells[c], "wait_ns");

		if (cells[c].watched >= FIT_FROM && cells[c].ready == 1 && cost.n) {
			log_watched[n] = log(cells[c].watched);
			costs[n++] = cost;
		}
	}
	if (n < 2)
		return (struct interval){NAN, NAN, NAN};
	slopes = cell_values(run, way, cells[0], "wait_ns");
	for (size_t t = 0; t < slopes.n; t++)
		slopes.at[t] = (int64_t)(slope(log_watched, costs, n, t) * 1e6);
	return millionths(slopes);
}

static void print_row(struct run *run, const char *head, const char *const words[VARIANTS])
{
	fprintf(run_out(run), "  %-8s", head);
	for (size_t v = 0; v < VARIANTS; v++)
		fprintf(run_out(run), " %9s", words[v]);
	fputs("\n", run_out(run));
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

/* Of the cells with one ready descriptor the wait; of the others all of an event's cost. */
static void print_cells(struct run *run, bool share)
{
	for (size_t c = 0; c < cells_n; c++) {
		const char *words[VARIANTS];

		if ((cells[c].ready > 1) != share)
			continue;
		for (size_t v = 0; v < VARIANTS; v++) {
			struct values cost = share ? events(run, v, cells[c])
						   : cell_values(run, v, cells[c], "wait_ns");

			words[v] = cost.n ? text_time(stats_quantile(cost, 0.5) / cells[c].ready)
					  : "-";
		}
		print_row(run, text_count(cells[c].watched), words);
	}
}

/* At 1,000 watched: a field of the cell with one ready, divided. */
static void print_at_1000(struct run *run, const char *head, const char *field, double by)
{
	const char *words[VARIANTS];

	for (size_t v = 0; v < VARIANTS; v++) {
		double ns = cell_median(run, v, (struct cell){1000, 1}, field);

		words[v] = isfinite(ns) ? text_time(ns / by) : "-";
	}
	print_row(run, head, words);
}

static const char *figure(double value)
{
	return isfinite(value) ? text_format("%.2f", value) : "-";
}

static void print_exponents(struct run *run, const struct interval *exponents)
{
	const char *mid[VARIANTS], *low[VARIANTS], *high[VARIANTS];

	for (size_t v = 0; v < VARIANTS; v++)
		mid[v] = figure(exponents[v].mid);
	print_row(run, "exponent", mid);
	for (size_t v = 0; v < VARIANTS; v++) {
		low[v] = figure(exponents[v].low);
		high[v] = figure(exponents[v].high);
	}
	print_row(run, "  from", low);
	print_row(run, "  to", high);
}

static void print_table(struct run *run, const struct interval *exponents)
{
	static const char *const heads[VARIANTS] = {
		[SELECT] = "select",     [POLL] = "poll",       [EPOLL] = "epoll",
		[EDGE] = "ep-edge",      [ONESHOT] = "ep-once", [URING] = "uring",
		[URING_ONCE] = "ur-once"};

	run_say(run,
		"One wait that finds one ready descriptor, the last of so many watched ones. "
		"exponent: cost ~ watched^exponent from %d on, with its 95 %% interval. At 1,000, "
		"write: what made it ready; join: to begin watching, for each.",
		FIT_FROM);
	fputs("\n", run_out(run));
	print_row(run, "watched", heads);
	print_cells(run, false);
	print_exponents(run, exponents);
	print_at_1000(run, "write", "trigger_ns", 1);
	print_at_1000(run, "join", "setup_ns", 1000);
	fprintf(run_out(run), "\n  Write and wait for each ready one, when a tenth is ready:\n");
	print_row(run, "watched", heads);
	print_cells(run, true);
	fputs("\n", run_out(run));
}

static void judge_scans(struct run *run, const struct interval *exponents)
{
	struct interval select = exponents[SELECT], poll = exponents[POLL];
	struct interval epoll = exponents[EPOLL];
	bool grows = select.low > 0.8;
	bool flat = epoll.high < 0.2;

	if (!run_selected(run, SELECT) || !run_selected(run, EPOLL))
		return;
	if (!isfinite(select.mid) || !isfinite(epoll.mid)) {
		run_verdict(run, "poll-select-scans", SKIPPED, NULL,
			    "too few descriptors are allowed here");
		return;
	}
	run_verdict(run, "poll-select-scans", grows && flat ? HOLDS : NOT_SEEN,
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

/* The cheaper of two ways there; VARIANTS if neither was measured. */
static size_t cheaper(struct run *run, size_t a, size_t b, struct cell cell)
{
	double a_ns = stats_quantile(events(run, a, cell), 0.5);
	double b_ns = stats_quantile(events(run, b, cell), 0.5);

	if (isfinite(a_ns) && !(b_ns < a_ns))
		return a;
	return isfinite(b_ns) ? b : VARIANTS;
}

/* How many times epoll's cost it takes: the median of the trials' ratios. */
static struct interval times_epoll(struct run *run, size_t way, struct cell cell)
{
	struct values cost = events(run, way, cell);
	struct values epoll = events(run, EPOLL, cell);

	cost.n = cost.n < epoll.n ? cost.n : epoll.n;
	for (size_t t = 0; t < cost.n; t++)
		cost.at[t] = cost.at[t] * 1000000 / (epoll.at[t] ? epoll.at[t] : 1);
	return millionths(cost);
}

#define MARGIN 0.05 /* what is closer together than that is called equal */

static void judge_default(struct run *run)
{
	static const int sizes[] = {1, 16, 1000};
	int better = 0, worse = 0, cases = 0;
	const char *told = "";

	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		struct cell cell = {sizes[i], 1};
		size_t rivals[] = {cheaper(run, SELECT, POLL, cell),
				   cheaper(run, URING, URING_ONCE, cell)};
		double low = INFINITY, high = INFINITY; /* of the cheapest, each */

		for (int k = 0; k < 2; k++) {
			struct interval times;

			if (rivals[k] == VARIANTS)
				continue;
			times = times_epoll(run, rivals[k], cell);
			low = fmin(low, times.low);
			high = fmin(high, times.high);
			told = text_format("%s%s %s %.2f (%.2f to %.2f)", told,
					   k && rivals[0] != VARIANTS
						   ? ","
						   : text_format("%s at %s:", *told ? ";" : "",
								 text_count(sizes[i])),
					   variants[rivals[k]].name, times.mid, times.low,
					   times.high);
		}
		cases += isfinite(low);
		better += isfinite(low) && low > 1 + MARGIN;
		worse += isfinite(high) && high < 1 - MARGIN;
	}
	if (cases == 0)
		return;
	run_verdict(
		run, "poll-default-selector",
		worse == 0       ? HOLDS
		: worse == cases ? REFUTED
				 : DEPENDS,
		(struct field[]){
			{"cases", cases}, {"epoll_cheapest", better}, {"epoll_beaten", worse}, {0}},
		"write and wait, as a multiple of epoll's, by descriptors watched:%s. %s", told,
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
		run_control(run, stats_sum(run_values(run, v, "wrong_waits")) == 0,
			    "%s: a wait found others than those that were ready", variants[v].name);
	run_why(run, "select and poll look at every descriptor in every call. epoll and io_uring "
		     "are told once whom to watch; who becomes ready calls them back, inside the "
		     "write, and the wait only empties a queue.");
	if (uring_error)
		run_note(run, "no io_uring here: %s.", text_errno(uring_error));
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
	uring_most = uring_error ? 0 : most_of_uring();
	w.found = calloc((size_t)most, sizeof(*w.found));
	w.polled = calloc((size_t)most, sizeof(*w.polled));
	w.events = calloc((size_t)most, sizeof(*w.events));
	if (!w.found || !w.polled || !w.events)
		err(EXIT_USAGE, "calloc");
	while (run_next(run))
		measure_all(run, &w);
	free(w.events);
	free(w.polled);
	free(w.found);
	free(fds);
	return run_end(run, report);
}
