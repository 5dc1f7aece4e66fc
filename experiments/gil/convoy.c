/* SPDX-License-Identifier: MIT */
/*
 * convoy - one CPU-bound thread beside an echo server, and every reply takes 5 ms longer.
 *
 * A thread that waits for the network gives the GIL up, and needs it back before it can use what
 * came.  If a CPU-bound thread has it by then, the server waits for one switch interval (5 ms),
 * and only then asks for the lock; the other thread never gives it up before.  So an echo that
 * takes 0.1 ms alone takes the interval with one such thread ("hog"), and longer with two.
 *
 * The server is convoy.py in the newest and the oldest CPython 3 found, and the same server in C
 * under a model of the lock (gil.h).  The client is a process of its own.  First it sends at fixed
 * times, 20 ms apart, and counts from the time a request was due (an open loop: a late reply
 * delays no clock); then it sends each request after the last reply, as fast as it goes (a closed
 * loop).
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "child.h"
#include "exp.h"
#include "gil.h"
#include "judge.h"
#include "net.h"
#include "pattern.h"
#include "python.h"
#include "span.h"
#include "text.h"

enum { ECHO = 64, MAX_HOGS = 2, LOADS = 5, SUBJECTS = 12, NAME = 48, MAX_PACED = 1000 };
enum { MAX_CLOSED = 1 << 17, MS = 1000000 };

/* How many hogs run, under which switch interval. */
static const struct load {
	int hogs;
	int64_t interval_us;
} loads[LOADS] = {{0, 5000}, {1, 5000}, {2, 5000}, {1, 500}, {2, 500}};

enum { ALONE, ONE_HOG }; /* of these: at 5 ms */

/* Variant i is subjects[i / LOADS], an interpreter or (NULL) the model, with loads[i % LOADS]. */
static struct python pythons[PYTHONS];
static const struct python *subjects[SUBJECTS];
static size_t subjects_n;
static char names[SUBJECTS * LOADS][NAME];
static struct variant variants[SUBJECTS * LOADS + 1];

static const struct claim claims[] = {
	{"gil-convoy",
	 "one CPU-bound thread makes an I/O thread wait a switch interval for every reply",
	 "model-1-5ms=model-1-0.5ms", NOT_SEEN,
	 .why = {[HOLDS] =
			 "after each recv the server needs the GIL again. The CPU-bound thread holds it; it is asked to give it up only when the server has waited for a switch interval."}},
	{0}};

static const struct row_field fields[] = {
	{"hogs", "CPU-bound threads beside the server", "hogs", SHOW_FIRST},
	{"interval_us", "the switch interval", "interval", SHOW_FIRST},
	{"paced_ns", "of a request that is sent at a given time: from then to its reply",
	 "paced,|p50"},
	{"paced_ns", .column = "paced,|p99", .show = SHOW_P99},
	{"closed_p50_ns", "of the closed loop, half the replies", "closed|p50"},
	{"closed_p99_ns", "99 % of them", "closed|p99"},
	{"closed_requests", "of the closed loop", "requests|a second", SHOW_SUM,
	 "closed_elapsed_ns"},
	{"closed_elapsed_ns", "of the closed loop"},
	{"echoes", "all of them, with one to warm up"},
	{"wrong_echoes", "that came back changed", .zero = true, .sham = "change"},
	{0}};

static const struct bound bounds[] = {
	{"low_share", 0.8, "of the switch interval: a wait of it, less a fifth"},
	{"high_share", 1.5,
	 "and half more, for waking up and the echo itself: longer, and it may have waited for two"},
	{"alone_share", 0.25,
	 "of the switch interval, less than a third of a wait of it: a machine on which an echo alone takes longer cannot tell"},
	{0}};

static const char *list;
static int64_t requests = 16;
static int64_t pace_ms = 20;
static int64_t closed_ms = 100;

static const struct opt opts[] = {
	{0, "python", "these interpreters, or all; else the oldest and the newest CPython 3",
	 .text = &list, .metavar = "PATH,..."},
	{'n', "requests", "paced requests in a trial", .num = &requests, .min = 1, .max = MAX_PACED,
	 .quick = 7},
	{0, "pace", "from one paced request to the next", .num = &pace_ms, .min = 1, .max = 10000,
	 .unit = OPT_MS, .quick = 12},
	{0, "closed", "how long the closed loop goes on", .num = &closed_ms, .min = 1, .max = 10000,
	 .unit = OPT_MS, .quick = 20},
	{0}};

/* --- the client, a process of its own ------------------------------------ */

/* What it measured; shared with its parent. */
struct measured {
	int64_t paced_ns[MAX_PACED]; /* from when a request was due to its reply */
	int64_t closed_ns[MAX_CLOSED];
	int64_t paced, closed; /* how many of each */
	int64_t closed_elapsed_ns;
	int64_t echoes, wrong;
};

/* One request and its reply; false if the server has gone. */
static bool echo(int fd, struct measured *m)
{
	char sent[ECHO], got[ECHO];
	ssize_t n;

	pattern_fill(sent, ECHO, (uint64_t)(m->echoes * ECHO));
	if (send(fd, sent, ECHO, MSG_NOSIGNAL) != ECHO)
		return false;
	n = recv(fd, got, ECHO, MSG_WAITALL);
	if (n <= 0)
		return false;
	m->wrong += n != ECHO || memcmp(sent, got, ECHO) != 0;
	m->echoes++;
	return true;
}

/* All that the client does; false if the server has gone. */
static bool ask(int port, struct measured *m)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
				 .sin_port = htons((uint16_t)port),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const int on = 1;
	int64_t begin_ns;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0 || !echo(fd, m))
		return false;
	begin_ns = span_now();
	for (int64_t i = 0; i < requests; i++) {
		int64_t due_ns = begin_ns + (i + 1) * pace_ms * MS;
		struct timespec due = {due_ns / 1000000000, due_ns % 1000000000};

		while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL) == EINTR)
			;
		if (!echo(fd, m))
			return false;
		m->paced_ns[m->paced++] = span_now() - due_ns;
	}
	begin_ns = span_now();
	for (int64_t now = begin_ns; now < begin_ns + closed_ms * MS && m->closed < MAX_CLOSED;) {
		int64_t sent_ns = now;

		if (!echo(fd, m))
			return false;
		now = span_now();
		m->closed_ns[m->closed++] = now - sent_ns;
		m->closed_elapsed_ns = now - begin_ns;
	}
	return true;
}

static _Noreturn void be_client(int port, struct measured *m)
{
	prctl(PR_SET_TIMERSLACK, 1UL); /* ns: its sleeps shall end when they should */
	_exit(ask(port, m) ? 0 : EXIT_USAGE);
}

/* Runs a client to its end; false if the run was stopped. */
static bool run_client(int port, struct measured *m)
{
	struct pollfd ends[2] = {{.events = POLLIN}, {run_stop_fd(), POLLIN, 0}};
	int status = 0;
	int alive[2];
	pid_t child;

	check_fd(pipe2(alive, O_CLOEXEC), "pipe2"); /* reads as ended when the child has */
	child = child_fork();
	if (child == 0)
		be_client(port, m);
	close(alive[1]);
	ends[0].fd = alive[0];
	while (poll(ends, 2, -1) < 0 && errno == EINTR)
		;
	if (run_stopped())
		kill(child, SIGKILL);
	close(alive[0]);
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	if (!run_stopped() && (!WIFEXITED(status) || WEXITSTATUS(status) != 0))
		errx(EXIT_USAGE, "the server ended before its client");
	return !run_stopped();
}

/* --- the servers --------------------------------------------------------- */

static bool serve_python(const struct python *python, const struct load *load, struct measured *m)
{
	const char *const arguments[] = {text_format("%d", load->hogs),
					 text_format("%lld", (long long)load->interval_us), NULL};
	struct python_child server =
		python_start(python, python_script("gil/convoy.py"), arguments);
	char line[32];
	bool ready = python_read_line(&server, line, sizeof(line), span_now() + 60000LL * MS);
	bool done = ready && run_client((int)strtol(line, NULL, 10), m);

	python_end(&server);
	if (!ready && !run_stopped())
		errx(EXIT_USAGE, "%s: convoy.py did not start", python->name);
	return done;
}

/* The interpreter that the model stands for. */
struct model {
	struct gil gil;
	struct gil_data data;
	int listener;
	atomic_bool stop;
};

struct model_thread {
	pthread_t id;
	struct model *model;
	struct gil_thread gil;
};

/* As serve() of convoy.py: the lock is given up around each call that may block. */
static void *model_serve(void *argument)
{
	struct model_thread *t = argument;
	char data[ECHO];
	const int on = 1;
	ssize_t n;
	int fd;

	gil_take(&t->gil);
	gil_io_begin(&t->gil);
	fd = accept4(t->model->listener, NULL, NULL, SOCK_CLOEXEC);
	gil_io_end(&t->gil);
	if (fd >= 0)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	while (fd >= 0) {
		gil_io_begin(&t->gil);
		n = recv(fd, data, sizeof(data), 0);
		gil_io_end(&t->gil);
		if (n <= 0)
			break;
		gil_io_begin(&t->gil);
		n = send(fd, data, (size_t)n, MSG_NOSIGNAL);
		gil_io_end(&t->gil);
		if (n < 0)
			break;
	}
	gil_drop(&t->gil);
	if (fd >= 0)
		close(fd);
	return NULL;
}

static void *model_hog(void *argument)
{
	struct model_thread *t = argument;

	gil_take(&t->gil);
	gil_run(&t->gil, &gil_programs[GIL_PLAIN], INT64_MAX, 1);
	gil_drop(&t->gil);
	return NULL;
}

static bool serve_model(const struct load *load, struct measured *m)
{
	struct model_thread threads[1 + MAX_HOGS] = {0};
	struct model model = {.stop = false};
	struct sockaddr_in where;
	bool done;

	model.listener = net_listen(1, &where);
	gil_init(&model.gil, GIL_FROM_310, load->interval_us, true);
	gil_data_init(&model.data);
	for (int i = 0; i <= load->hogs; i++) {
		threads[i] = (struct model_thread){.model = &model,
						   .gil = {.gil = &model.gil,
							   .data = &model.data,
							   .number = i,
							   .stop = &model.stop}};
		check(pthread_create(&threads[i].id, NULL, i ? model_hog : model_serve,
				     &threads[i]),
		      "pthread_create");
	}
	done = run_client(ntohs(where.sin_port), m);
	atomic_store(&model.stop, true);
	shutdown(model.listener, SHUT_RDWR); /* for a server that still waits for its client */
	for (int i = 0; i <= load->hogs; i++)
		check(pthread_join(threads[i].id, NULL), "pthread_join");
	close(model.listener);
	gil_data_destroy(&model.data);
	gil_destroy(&model.gil);
	return done;
}

/* --- one trial ----------------------------------------------------------- */

static void measure(struct run *run, struct measured *m)
{
	const struct python *python = subjects[run_variant(run) / LOADS];
	const struct load *load = &loads[run_variant(run) % LOADS];
	struct values closed = {m->closed_ns, 0};

	memset(m, 0, sizeof(*m));
	if (!(python ? serve_python(python, load, m) : serve_model(load, m)))
		return;
	for (int64_t i = 0; i < m->paced; i++)
		run_record(run, (struct field[]){{"hogs", load->hogs},
						 {"interval_us", load->interval_us},
						 {"paced_ns", m->paced_ns[i]},
						 {0}});
	closed.n = (size_t)m->closed;
	run_record(run, (struct field[]){{"hogs", load->hogs},
					 {"interval_us", load->interval_us},
					 {"closed_requests", m->closed},
					 {"closed_elapsed_ns", m->closed_elapsed_ns},
					 {"closed_p50_ns", (int64_t)stats_quantile(closed, 0.5)},
					 {"closed_p99_ns", (int64_t)stats_quantile(closed, 0.99)},
					 {"echoes", m->echoes},
					 {"wrong_echoes", m->wrong + run_sham(run, "change")},
					 {0}});
}

/* --- judge --------------------------------------------------------------- */

static void judge(struct run *run)
{
	const double interval_ns = (double)loads[ONE_HOG].interval_us * 1e3;
	struct interval alone = {NAN, NAN, NAN, 0};
	struct interval hog = {NAN, NAN, NAN, 0};
	enum verdict verdict = HOLDS;
	size_t servers = 0;

	for (size_t s = 0; s < subjects_n; s++) {
		if (subjects[s] && !subjects[s]->gil)
			continue;
		alone = run_interval(run, s * LOADS + ALONE, "paced_ns");
		hog = run_interval(run, s * LOADS + ONE_HOG, "paced_ns");
		servers++;
		verdict = all_of(
			verdict,
			only_if(all_of(is_below(alone, run_bound(run, "alone_share") * interval_ns),
				       is_below(hog, run_bound(run, "high_share") * interval_ns)),
				is_above(hog, run_bound(run, "low_share") * interval_ns)));
	}
	run_judge(
		run, "gil-convoy", or_not_seen(verdict),
		"a paced echo of the last of {servers} servers (the model, CPython with a GIL) takes {alone_ns} alone and {hog_ns} with one CPU-bound thread; the switch interval is {interval_ns}",
		number_int("servers", (int64_t)servers), number_interval("alone_ns", alone),
		number_interval("hog_ns", hog), number_real("interval_ns", interval_ns));
	if (subjects_n == 1)
		run_note(run, "no CPython 3 was found here: this is the model alone", NO_NUMBERS);
}

/* The subjects: the model, and the oldest and the newest CPython 3 with a GIL, or all asked for. */
static void choose(void)
{
	bool all = list && strcmp(list, "all") == 0;
	size_t n = python_find(all ? NULL : list, pythons);
	size_t oldest = n, newest = n;

	subjects[subjects_n++] = NULL;
	for (size_t i = 0; i < n; i++)
		if (pythons[i].major == 3 && pythons[i].minor >= 2 && pythons[i].gil) {
			oldest = oldest == n ? i : oldest;
			newest = i;
		}
	for (size_t i = 0; i < n && subjects_n < SUBJECTS; i++)
		if (list ? pythons[i].major == 3 : i == oldest || i == newest)
			subjects[subjects_n++] = &pythons[i];
	for (size_t cell = 0; cell < subjects_n * LOADS; cell++) {
		const struct python *python = subjects[cell / LOADS];
		const struct load *load = &loads[cell % LOADS];

		snprintf(names[cell], NAME, "%s-%d-%gms", python ? python->name : "model",
			 load->hogs, (double)load->interval_us / 1e3);
		variants[cell].name = names[cell];
		variants[cell].help =
			python ? "CPython, hogs, switch interval" : "the model, hogs, interval";
	}
}

static const struct experiment about = {
	.name = "convoy",
	.group = "gil",
	.order = 202,
	.summary = "An echo server beside CPU-bound threads: how long does a reply take?",
	.intro =
		"A client sends 64 bytes every {pace_ms} and waits for the echo, counted from when it was due; then, in a closed loop, the next as soon as the last came back.",
	.claims = claims,
	.fields = fields,
	.bounds = bounds,
	.opts = opts,
	.variants = variants,
	.choose = choose,
	.trials = 2,
	.quick_trials = 1,
	.timed = true,
	.judge = judge,
};

int main(int argc, char *argv[])
{
	struct measured *m = child_share(sizeof(*m));
	struct run *run = run_begin(&about, argc, argv);

	if (subjects_n > 1 && !python_script("gil/convoy.py"))
		return run_skip(run, "experiments/gil/convoy.py is not beside the build folder");
	while (run_next(run))
		measure(run, m);
	return run_end(run);
}
