/* SPDX-License-Identifier: MIT */
/* needs: liburing */
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
#include <liburing.h>
#include <math.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <unistd.h>

#include "check.h"
#include "exp.h"
#include "files.h"
#include "judge.h"
#include "language.h"
#include "span.h"
#include "text.h"

enum { SELECT, POLL, EPOLL, EDGE, ONESHOT, URING, URING_ONCE, VARIANTS };
enum { KEPT_FREE = 64, LEAST_WAITS = 5, MOST_WAITS = 2000, WARM = 2 };
enum { CELLS = 32, TENTH_FROM = 64 };

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
	{"poll-select-scans",
	 "select scans the whole list, so its cost grows with the number of sockets; epoll's does not",
	 "select=epoll", REFUTED,
	 .why = {[HOLDS] =
			 "select and poll look at every descriptor in every call. epoll and io_uring are told once whom to watch; who becomes ready calls them back, inside the write, and the wait only empties a queue."}},
	{"poll-default-selector",
	 "the best selector on Linux is epoll: no other takes a tenth less time with any number of sockets, and select and poll take more with many",
	 "*=epoll", REFUTED},
	{0}};

static const struct row_field fields[] = {
	{"watched_fds", "descriptors watched", "watched", .key = true},
	{"ready_fds", "of these: ready; 1, or a tenth"},
	{"waits", "waits of the cell"},
	{"wait_ns",
	 "from the call until the one ready descriptor is known, with arming again; median of the waits"},
	{"trigger_ns", "the write that made it ready; median"},
	{"event_ns", "both together; median"},
	{"tenth_wait_ns", "as wait_ns, where a tenth is ready: until all of them are known"},
	{"tenth_trigger_ns", "all writes that made them ready; median"},
	{"tenth_event_ns", "both together; median", .per = "ready_fds"},
	{"setup_ns", "to begin watching, all of them"},
	{"clock_ns", "what reading the clock takes, in each of these times"},
	{"wrong_waits", "waits that found others than those that were ready", .zero = true,
	 .sham = "double"},
	{0}};

static const struct bound bounds[] = {
	{"fit_fds", 256,
	 "the exponent is measured from here on: below, what a call costs at all shows"},
	{"scan_low_exponent", 0.8, "in proportion to the number is an exponent of 1"},
	{"scan_high_exponent", 1.3, "the same; long lists leave the caches"},
	{"flat_exponent", 0.2, "not at all is one of 0"},
	{"margin_share", 0.1, "of epoll's time; between runs the ratios differ by up to 5 %"},
	{0}};

static int64_t watched = 20000;
static int64_t cell_ms = 2;

static const struct opt opts[] = {{'w', "watched", "descriptors at most, as the hard limit allows",
				   .num = &watched, .min = 512, .quick = 2000, .max = 200000},
				  {'m', "time", "a cell is measured for so long", .num = &cell_ms,
				   .min = 1, .quick = 1, .max = 1000, .unit = OPT_MS},
				  {0}};

/* What is measured, in this order: by how many are watched, then by how many are ready. */
static struct cell {
	int watched, ready;
} cells[CELLS];
static size_t cells_n;

static int *fds; /* the eventfds */

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
	struct io_uring ring;       /* of io_uring */

	bool doubles; /* a sham */
};

struct way {
	bool (*begin)(struct watch *w);       /* false: so many cannot be watched this way */
	void (*wait)(struct watch *w);        /* until they are ready; tells whom it found */
	void (*arm)(struct watch *w, int fd); /* again, where a way forgets whom it told of */
	void (*end)(struct watch *w);
	uint32_t flags; /* events of epoll */
	bool multishot;
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

static void submit(struct io_uring *ring, unsigned int wait)
{
	int submitted = io_uring_submit_and_wait(ring, wait);

	check(submitted < 0 ? -submitted : 0, "io_uring_submit_and_wait");
}

/* An empty request; submits those before it where they fill the ring. */
static struct io_uring_sqe *new_request(struct io_uring *ring)
{
	struct io_uring_sqe *request = io_uring_get_sqe(ring);

	if (request)
		return request;
	submit(ring, 0);
	return io_uring_get_sqe(ring);
}

static void arm_uring(struct watch *w, int fd)
{
	struct io_uring_sqe *request = new_request(&w->ring);

	if (w->way->multishot)
		io_uring_prep_poll_multishot(request, fd, POLLIN);
	else
		io_uring_prep_poll_add(request, fd, POLLIN);
	io_uring_sqe_set_data64(request, (uint64_t)fd);
}

static bool begin_uring(struct watch *w)
{
	if (io_uring_queue_init((unsigned int)w->cell.watched, &w->ring, 0) != 0)
		return false; /* rings are limited, in old kernels also by RLIMIT_MEMLOCK */
	for (int i = 0; i < w->cell.watched; i++)
		arm_uring(w, fds[i]);
	submit(&w->ring, 0);
	return true;
}

static void wait_uring(struct watch *w)
{
	struct io_uring_cqe *done;

	submit(&w->ring, (unsigned int)w->cell.ready);
	while (w->found_n < w->cell.ready && io_uring_peek_cqe(&w->ring, &done) == 0) {
		int fd = (int)io_uring_cqe_get_data64(done);

		find(w, done->res > 0 ? fd : -1);
		if (w->way->multishot && !(done->flags & IORING_CQE_F_MORE))
			arm_uring(w, fd); /* else the next wait has no end */
		io_uring_cqe_seen(&w->ring, done);
	}
}

/* Removes first: what is only closed is removed some time later, by a thread of the kernel's. */
static void end_uring(struct watch *w)
{
	struct io_uring_cqe *done;

	for (int i = 0; i < w->cell.watched; i++)
		io_uring_prep_poll_remove(new_request(&w->ring), (uint64_t)fds[i]);
	submit(&w->ring, 0);
	while (io_uring_peek_cqe(&w->ring, &done) == 0)
		io_uring_cqe_seen(&w->ring, done);
	io_uring_queue_exit(&w->ring);
}

static const struct way ways[] = {
	[SELECT] = {begin_select, wait_select},
	[POLL] = {begin_poll, wait_poll},
	[EPOLL] = {begin_epoll, wait_epoll, NULL, end_epoll, EPOLLIN},
	[EDGE] = {begin_epoll, wait_epoll, NULL, end_epoll, EPOLLIN | EPOLLET},
	[ONESHOT] = {begin_epoll, wait_epoll, arm_epoll, end_epoll, EPOLLIN | EPOLLONESHOT},
	[URING] = {begin_uring, wait_uring, NULL, end_uring, .multishot = true},
	[URING_ONCE] = {begin_uring, wait_uring, arm_uring, end_uring},
};

/* Why io_uring cannot watch for more than one event here: an error number; 0 = it can. */
static int try_uring(void)
{
	struct watch w = {.way = &ways[URING], .cell = {1, 1}};
	struct io_uring_cqe *done;
	int error = -io_uring_queue_init(1, &w.ring, 0);

	if (error)
		return error;
	eventfd_write(fds[0], 1);
	arm_uring(&w, fds[0]);
	submit(&w.ring, 1);
	check(-io_uring_peek_cqe(&w.ring, &done), "io_uring_peek_cqe");
	error = done->flags & IORING_CQE_F_MORE ? 0 : EOPNOTSUPP;
	io_uring_cqe_seen(&w.ring, done);
	end_uring(&w);
	eventfd_read(fds[0], &(eventfd_t){0});
	return error;
}

/* --- a cell -------------------------------------------------------------- */

/* Where each of many waits, and the writes before it, goes to. */
static int64_t wait_ns[MOST_WAITS], trigger_ns[MOST_WAITS], event_ns[MOST_WAITS];

static void make_ready(const struct watch *w)
{
	for (int i = w->cell.watched - w->cell.ready; i < w->cell.watched; i++)
		if (eventfd_write(fds[i], w->doubles ? 2 : 1) != 0)
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

/* The n-th wait; 1 if it found others than those that are ready. */
static int64_t go_round(struct watch *w, size_t n)
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
	trigger_ns[n] = begin_ns - write_ns;
	wait_ns[n] = end_ns - begin_ns;
	if (w->way->arm) {
		begin_ns = span_now();
		for (int i = 0; i < w->found_n; i++)
			w->way->arm(w, w->found[i]);
		wait_ns[n] += span_now() - begin_ns;
	}
	event_ns[n] = trigger_ns[n] + wait_ns[n];
	return !right;
}

static int64_t median(int64_t *ns, size_t n)
{
	return (int64_t)stats_quantile((struct values){.at = ns, .n = n}, 0.5);
}

/* What the clock itself takes, which is in each of the times. */
static int64_t clock_itself_ns(void)
{
	int64_t took[64];

	for (int i = 0; i < 64; i++) {
		took[i] = -span_now();
		took[i] += span_now();
	}
	return median(took, 64);
}

/* A cell, if so many can be watched this way. */
static void measure(struct run *run, struct watch *w)
{
	const bool one = w->cell.ready == 1;
	int64_t begin_ns = span_now();
	int64_t wrong = 0;
	int64_t setup_ns, end_ns;
	size_t n = 0;

	if (!w->way->begin(w))
		return;
	setup_ns = span_now() - begin_ns;
	for (int i = 0; i < WARM; i++)
		wrong += go_round(w, 0);
	end_ns = span_now() + cell_ms * 1000000;
	while (n < MOST_WAITS && (n < LEAST_WAITS || span_now() < end_ns))
		wrong += go_round(w, n++);
	if (w->way->end)
		w->way->end(w);
	for (int i = 0; i < w->cell.watched && wrong; i++)
		eventfd_read(fds[i], &(eventfd_t){0}); /* the next cell begins with none ready */
	run_record(run, (struct field[]){
				{"watched_fds", w->cell.watched},
				{"ready_fds", w->cell.ready},
				{"waits", (int64_t)n},
				{one ? "wait_ns" : "tenth_wait_ns", median(wait_ns, n)},
				{one ? "trigger_ns" : "tenth_trigger_ns", median(trigger_ns, n)},
				{one ? "event_ns" : "tenth_event_ns", median(event_ns, n)},
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

	fds = check_alloc(calloc((size_t)watched, sizeof(*fds)));
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

/* --- judge --------------------------------------------------------------- */

/* One field of a way's samples with so many watched and one ready, a value a trial. */
static struct values of_cell(struct run *run, size_t way, int64_t n, const char *field)
{
	return run_values_where(run, way, field,
				(struct field[]){{"watched_fds", n}, {"ready_fds", 1}, {0}});
}

/* The most descriptors of a cell with one ready, at most `most`, that this way was measured with. */
static int64_t most_watched(struct run *run, size_t way, int64_t most)
{
	for (size_t c = cells_n; c-- > 0;)
		if (cells[c].watched <= most && of_cell(run, way, cells[c].watched, "wait_ns").n)
			return cells[c].watched;
	return 0;
}

/* The exponent with which a wait's cost grows from fit_fds to the most: each trial's. */
static struct interval exponent(struct run *run, size_t way)
{
	double few = run_bound(run, "fit_fds");
	int64_t most = most_watched(run, way, INT64_MAX);
	struct interval times = run_ratio(run, of_cell(run, way, most, "wait_ns"),
					  of_cell(run, way, (int64_t)few, "wait_ns"));
	double fold = log((double)most / few);

	if ((double)most <= few)
		return (struct interval){NAN, NAN, NAN, 0};
	return (struct interval){log(times.mid) / fold, log(times.low) / fold,
				 log(times.high) / fold, times.n};
}

static void judge_scans(struct run *run)
{
	struct interval select = exponent(run, SELECT), epoll = exponent(run, EPOLL);
	double fit = run_bound(run, "fit_fds"), flat = run_bound(run, "flat_exponent");
	bool too_few = cells[cells_n - 1].watched <= (int)fit;

	run_judge(
		run, "poll-select-scans",
		too_few ? SKIPPED
			: all_of(is_within(select, run_bound(run, "scan_low_exponent"),
					   run_bound(run, "scan_high_exponent")),
				 is_within(epoll, -flat, flat)),
		too_few ? MESSAGE("too few descriptors are allowed here")
			: MESSAGE("from {fit} descriptors on select's cost grows with their number to the power of {select_exponent}, poll's {poll_exponent}, epoll's {epoll_exponent}"),
		number_real("fit", fit), number_interval("select_exponent", select),
		number_interval("poll_exponent", exponent(run, POLL)),
		number_interval("epoll_exponent", epoll));
}

/* A way's write and wait, as a multiple of epoll's. */
static struct interval of_epolls(struct run *run, size_t way, int64_t n)
{
	return run_ratio(run, of_cell(run, way, n, "event_ns"), of_cell(run, EPOLL, n, "event_ns"));
}

/* The cheapest other way of all cells, and what it takes as a multiple of epoll. */
struct rival {
	size_t way;
	int64_t fds;
	struct interval times;
};

/* Whether no other way takes less than epoll by the margin, with n descriptors. */
static enum verdict is_not_beaten(struct run *run, int64_t n, struct rival *cheapest)
{
	static const size_t rivals[] = {SELECT, POLL, URING, URING_ONCE};
	enum verdict verdicts[4];
	size_t k = 0;

	for (size_t i = 0; i < 4; i++) {
		struct interval times;

		if (!run_selected(run, rivals[i]))
			continue;
		times = of_epolls(run, rivals[i], n);
		verdicts[k++] = is_above(times, 1 - run_bound(run, "margin_share"));
		if (!cheapest->fds || times.mid < cheapest->times.mid)
			*cheapest = (struct rival){rivals[i], n, times};
	}
	return verdict_all(verdicts, k);
}

static void judge_default(struct run *run)
{
	double more = 1 + run_bound(run, "margin_share");
	int64_t many = most_watched(run, SELECT, 1000);
	struct interval select = of_epolls(run, SELECT, many), poll = of_epolls(run, POLL, many);
	struct rival rival = {0};
	enum verdict not_beaten = is_not_beaten(run, 1, &rival);

	for (size_t c = 1; c < cells_n && cells[c].watched <= many; c++)
		if (cells[c].ready == 1)
			not_beaten =
				by_case(not_beaten, is_not_beaten(run, cells[c].watched, &rival));
	run_judge(
		run, "poll-default-selector",
		all_of(not_beaten, is_above(select, more), is_above(poll, more)),
		"write and wait, as a multiple of epoll's: of the cheapest other way from 1 to {many} descriptors {rival_times} ({rival} with {rival_fds}); with {many} of select {select_times}, of poll {poll_times}",
		number_interval("rival_times", rival.times),
		number_text("rival", variants[rival.way].name), number_int("rival_fds", rival.fds),
		number_int("many", many), number_interval("select_times", select),
		number_interval("poll_times", poll));
}

static void judge(struct run *run)
{
	judge_scans(run);
	judge_default(run);
}

static void draw(struct run *run)
{
	static const struct {
		const char *field, *head;
	} grids[] = {{"wait_ns", MESSAGE("The wait, with one ready:")},
		     {"trigger_ns", MESSAGE("The write that made it ready:")},
		     {"tenth_event_ns",
		      MESSAGE("Write and wait for each ready one, with a tenth ready:")}};
	int64_t many = most_watched(run, EPOLL, 1000);
	const char *setup = "";

	for (size_t i = 0; i < sizeof(grids) / sizeof(grids[0]); i++) {
		run_say(run, "%s", translated(grids[i].head));
		run_grid(run, -1, grids[i].field, "watched_fds", NULL);
		fputs("\n", run_out(run));
	}
	for (size_t v = 0; v < VARIANTS && many; v++) {
		struct values ns = of_cell(run, v, many, "setup_ns");

		if (ns.n)
			setup = text_format("%s%s%s %s", setup, *setup ? ", " : "",
					    variants[v].name,
					    text_time(stats_quantile(ns, 0.5) / (double)many));
	}
	if (*setup)
		run_say(run, "To begin watching %s, for each: %s.\n", text_count(many), setup);
}

static const struct experiment about = {
	.name = "scaling",
	.group = "polling",
	.order = 504,
	.summary = "What does one readiness wait cost, by how many descriptors it watches?",
	.intro =
		"One wait that finds one ready descriptor, the last of so many watched ones, or the last tenth of them. Medians of the trials.",
	.claims = claims,
	.opts = opts,
	.variants = variants,
	.fields = fields,
	.bounds = bounds,
	.trials = 12,
	.quick_trials = 7,
	.timed = true,
	.judge = judge,
	.draw = draw,
};

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);
	struct watch w = {.doubles = run_sham(run, "double")};
	int most = open_all();
	int error;

	if (most < 1)
		return run_skip(run, "no descriptor is left to open");
	plan(most);
	error = try_uring();
	for (size_t v = URING; error && v <= URING_ONCE; v++)
		run_leave_out(run, v, "no io_uring: %s", strerror(error));
	w.found = check_alloc(calloc((size_t)most, sizeof(*w.found)));
	w.polled = check_alloc(calloc((size_t)most, sizeof(*w.polled)));
	w.events = check_alloc(calloc((size_t)most, sizeof(*w.events)));
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
	return run_end(run);
}
