/* SPDX-License-Identifier: MIT */
/*
 * echo-load - a load that can be trusted: how many echoes a second, and how long each takes.
 *
 * Closed loop (the default): each connection sends a request, waits for the answer, sends the next
 * one.  That finds the highest throughput of a server.  It does not find the latency of its
 * clients: while the server pauses, the generator pauses with it.  Of 1,000 requests that would
 * have been sent during the pause only one a connection is, and these few are the only slow ones:
 * too few to be seen in p99.  That is "coordinated omission" (Gil Tene).
 *
 * Open loop (--rate): requests are due at times that do not depend on the answers, as with
 * independent users, and their latency counts from then on.  A request for which no connection is
 * free waits for one, and that time counts as well; so of 1,000 requests that were due in a pause
 * all 1,000 are slow, the first ones by its whole length.  A request without an answer at the end
 * is in the histogram with the time it has waited.
 *
 * The load comes from processes of threads, which count into shared memory.  The parent only reads
 * it once a second, and takes snapshots of the server (--server-pid).
 */
#include <err.h>
#include <errno.h>
#include <locale.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "address.h"
#include "check.h"
#include "child.h"
#include "exp.h"
#include "files.h"
#include "load.h"
#include "load_barrier.h"
#include "load_merge.h"
#include "machine.h"
#include "opt.h"
#include "rows.h"
#include "text.h"

enum {
	MAX_THREADS = 64,
	MAX_PROCESSES = 1024,
	OWN_DESCRIPTORS = 16, /* of a process, beside one a connection and one a thread */
};

static const int64_t second_ns = 1000000000;
static const int64_t never_ns = INT64_MAX / 2; /* on CLOCK_MONOTONIC */

static const char *const arrivals[] = {"poisson", "fixed", NULL};

static const char *host = "127.0.0.1";
static int64_t port = 65432;
static const char *sizes = "64";
static const char *arrival = "poisson";
static int64_t threads = 1, processes = 1;
static int64_t duration_ms = 10000, warmup_ms = 500, ramp_ms;
static int64_t server_pid;
static const char *output, *hgrm, *barrier_at;
static int64_t serve, wait_ms = 60000;
static bool merge;
static struct load_plan plan = {.connections = 16, .pipeline = 1, .seed = 42};

static const struct opt opts[] = {
	{'b', "host", "where the server is; default 127.0.0.1", .text = &host,
	 .metavar = "ADDRESS"},
	{'p', "port", "its port", .num = &port, .min = 1, .max = 65535},
	{'c', "connections", "that send requests", .num = &plan.connections, .min = 1,
	 .max = 1 << 22},
	{'s', "size", "of a request in bytes: 64, or 64-4096, or 64:90,4096:10 (with weights)",
	 .text = &sizes, .metavar = "SIZES"},
	{0, "text", "requests of printable ASCII, for servers that decode what they receive",
	 .flag = &plan.text},
	{0, "pipeline", "requests under way on a connection", .num = &plan.pipeline, .min = 1,
	 .max = 1024},
	{'t', "threads", "of each process", .num = &threads, .min = 1, .max = MAX_THREADS},
	{0, "processes", "each with its own limit on descriptors", .num = &processes, .min = 1,
	 .max = MAX_PROCESSES},
	{0, "at-once", "closed loop: connections with a request under way, which take turns",
	 .num = &plan.at_once, .max = 1 << 22, .zero = "all of them"},
	{'r', "rate", "open loop: so many requests a second in all", .num = &plan.rate,
	 .max = 10000000, .zero = "a closed loop"},
	{0, "arrivals", "of the open loop's requests", .text = &arrival, .choices = arrivals},
	{0, "churn", "a new connection for every request", .flag = &plan.churn},
	{0, "idle", "more connections, which never send", .num = &plan.idle, .max = 1 << 22},
	{0, "ramp", "open the connections over so long a time", .num = &ramp_ms, .max = 3600000,
	 .unit = OPT_MS},
	{'d', "duration", "measure for so long, such as 10s", .num = &duration_ms, .min = 20,
	 .max = 86400000, .unit = OPT_MS},
	{0, "warmup", "make the load for so long before measuring", .num = &warmup_ms,
	 .max = LOAD_WARMUP_MS, .unit = OPT_MS},
	{0, "seed", "of arrivals and sizes", .num = &plan.seed, .max = INT32_MAX},
	{0, "server-pid", "report what this process and its children use, too", .num = &server_pid,
	 .max = 1 << 22, .zero = "none"},
	{'o', "output", "write the rows there as JSON Lines; - is standard output", .text = &output,
	 .metavar = "FILE"},
	{0, "hgrm", "write the latencies there, in HdrHistogram's percentile format", .text = &hgrm,
	 .metavar = "FILE"},
	{0}};

static const struct opt host_opts[] = {
	{0, "barrier", "begin together with the other generators of the barrier there",
	 .text = &barrier_at, .metavar = "HOST:PORT"},
	{0, "serve", "make no load, but be that barrier for so many generators", .num = &serve,
	 .max = BARRIER_GENERATORS, .zero = "make a load"},
	{0, "wait", "for the other generators, at most", .num = &wait_ms, .min = 100,
	 .max = 3600000, .unit = OPT_MS},
	{0, "merge", "make no load, but add up what these wrote into each FILE", .flag = &merge},
	{0}};

/* In memory that all processes share. */
static struct shared {
	struct load_window window;
	_Atomic int open_error; /* of a connection before the start; an errno */
	struct load_tally tally[];
} * shared;

static struct rows *rows, *latencies;
static pid_t self;

static int signals = -1; /* a signalfd */
static int interrupted;  /* by this signal; 0 = not */
static int64_t running;  /* processes */
static int64_t ready;    /* workers that wait in load_work() */
static bool broken;      /* a process was killed or failed */

static struct barrier barrier = {.fd = -1};
static struct address barrier_address;
static struct barrier_answer answer; /* the last one */
static json_t *common;               /* NULL = without a barrier */

static struct load_server server_before, server_after; /* the measured window */
static struct load_kernel kernel_empty;                /* without connections */
static int64_t server_empty, files_empty;              /* bytes, descriptors; likewise */
static int64_t open_ns;                                /* until all were open */

/* --- the plan ---------------------------------------------------------------- */

/* One of several "LOW[-HIGH][:WEIGHT]"; false if it is not that. */
static bool parse_size(char *item)
{
	char *weight = item;
	char *high = strsep(&weight, ":");
	char *low = strsep(&high, "-");
	int n = plan.sizes.n++;

	if (n == LOAD_SIZES || opt_number(low, OPT_BYTES, &plan.sizes.range[n].low) != 0 ||
	    opt_number(high ? high : low, OPT_BYTES, &plan.sizes.range[n].high) != 0 ||
	    opt_number(weight ? weight : "1", OPT_COUNT, &plan.sizes.range[n].weight) != 0)
		return false;
	plan.sizes.weight += plan.sizes.range[n].weight;
	return plan.sizes.range[n].low >= 1 && plan.sizes.range[n].high <= LOAD_SIZE_MAX &&
	       plan.sizes.range[n].low <= plan.sizes.range[n].high &&
	       plan.sizes.range[n].weight >= 1 && plan.sizes.range[n].weight <= INT32_MAX;
}

static void parse_sizes(void)
{
	char *copy = check_alloc(strdup(sizes));
	char *rest = copy;

	while (rest)
		if (!parse_size(strsep(&rest, ",")))
			errx(EXIT_USAGE,
			     "--size: '%s' is not a list of at most %d sizes such as 64, 64-4096 or 64:90,4096:10, each of 1 B to 16 MiB",
			     sizes, LOAD_SIZES);
	free(copy);
}

static void find_server(void)
{
	static char name[ADDRESS_TEXT];

	plan.server = address_find("--host", host, port);
	plan.server_name = address_text(&plan.server, name);
}

/* RLIMIT_NOFILE must be enough for each process. */
static void check_limit(void)
{
	int64_t needed = (plan.connections + plan.idle + processes - 1) / processes + threads +
			 OWN_DESCRIPTORS;
	int64_t allowed = files_allow(INT64_MAX);

	if (needed > allowed)
		errx(EXIT_USAGE,
		     "%s descriptors a process, of which %s are allowed: use more --processes",
		     text_count(needed), text_count(allowed));
	files_make_room(needed);
}

static void make_plan(void)
{
	parse_sizes();
	find_server();
	plan.workers = threads * processes;
	plan.sizes_text = sizes;
	plan.arrivals = arrival;
	plan.fixed = strcmp(arrival, "fixed") == 0;
	plan.ramp_ns = ramp_ms * 1000000;
	if (plan.connections < plan.workers)
		errx(EXIT_USAGE, "--connections: %s are too few for %s threads",
		     text_count(plan.connections), text_count(plan.workers));
	if (plan.at_once && plan.at_once < plan.workers)
		errx(EXIT_USAGE, "--at-once: %s are too few for %s threads",
		     text_count(plan.at_once), text_count(plan.workers));
	if (plan.at_once && plan.rate)
		errx(EXIT_USAGE, "--at-once: of a closed loop, without --rate");
	if (plan.at_once >= plan.connections)
		plan.at_once = 0;
	if (plan.churn && plan.pipeline > 1)
		errx(EXIT_USAGE, "--churn: a connection for each request has no --pipeline");
	if (server_pid && !load_snapshot((pid_t)server_pid, &server_before))
		errx(EXIT_USAGE, "--server-pid: there is no process %lld", (long long)server_pid);
	check_limit();
}

/* --- rows -------------------------------------------------------------------- */

static void drop_files(void)
{
	if (rows && getpid() == self)
		rows_drop(rows);
	if (latencies && getpid() == self)
		rows_drop(latencies);
}

/* Before the load, so that a file that cannot be written is an error at once. */
static struct rows *open_file(const char *path)
{
	struct rows *opened = path ? rows_open(path) : NULL;

	if (path && !opened && errno == EBUSY)
		errx(EXIT_USAGE, "%s: another run is writing it", path);
	if (path && !opened)
		err(EXIT_USAGE, "%s", path);
	return opened;
}

static void open_files(void)
{
	self = getpid();
	atexit(drop_files);
	latencies = open_file(hgrm);
	rows = open_file(output);
}

static void rows_lost(int error)
{
	errno = error;
	err(EXIT_USAGE, "%s: the rows are lost", output);
}

/* Writes and frees the row. */
static void write_row(json_t *row)
{
	int error = rows ? rows_write(rows, row) : 0;

	json_decref(row);
	if (error)
		rows_lost(error);
}

static json_t *describe_run(void)
{
	json_t *params = json_object();
	json_t *row = json_pack("{s:s,s:i,s:s,s:s,s:{},s:[],s:o}", "row", "run", "schema",
				ROWS_SCHEMA, "experiment", "echo-load", "group", "echo", "claims",
				"variants", "params", params);

	opt_record(params, opts);
	machine_describe(row);
	return row;
}

static void write_end_row(const struct machine_load *begin, bool right)
{
	json_t *row = json_pack("{s:s,s:s?,s:o,s:i}", "row", "end", "interrupted",
				interrupted == SIGINT    ? "SIGINT"
				: interrupted == SIGTERM ? "SIGTERM"
				: interrupted            ? "SIGHUP"
							 : NULL,
				"controls_held", interrupted ? json_null() : json_boolean(right),
				"samples", 1);
	int error;

	machine_describe_load(row, begin);
	write_row(row);
	if (!rows)
		return;
	error = rows_keep(rows);
	rows = NULL;
	if (error)
		rows_lost(error);
}

/* --- processes and signals --------------------------------------------------- */

struct thread {
	pthread_t id;
	int64_t worker;
};

static void *run_worker(void *argument)
{
	const struct thread *thread = argument;
	int error =
		load_work(&plan, &shared->window, &shared->tally[thread->worker], thread->worker);

	if (error) {
		atomic_store(&shared->open_error, error);
		_exit(1); /* with the other threads, which wait for the start */
	}
	return NULL;
}

static _Noreturn void run_process(int64_t process)
{
	struct thread all[MAX_THREADS];

	for (int64_t i = 0; i < threads; i++) {
		all[i].worker = process * threads + i;
		if (i > 0)
			check(pthread_create(&all[i].id, NULL, run_worker, &all[i]),
			      "pthread_create");
	}
	run_worker(&all[0]);
	for (int64_t i = 1; i < threads; i++)
		check(pthread_join(all[i].id, NULL), "pthread_join");
	_exit(0);
}

/* The parent handles SIGINT, SIGTERM and SIGHUP: the processes of the load ignore them. */
static void start_processes(void)
{
	static const int ends[] = {SIGINT, SIGTERM, SIGHUP};
	struct sigaction old[3];
	size_t size = sizeof(*shared) + (size_t)plan.workers * sizeof(shared->tally[0]);
	sigset_t set;

	shared = child_share(size);
	shared->window.workers = plan.workers;
	shared->window.generators = 1;
	plan.ready = check_fd(eventfd(0, EFD_CLOEXEC), "eventfd");
	plan.warm = check_fd(eventfd(0, EFD_CLOEXEC | EFD_SEMAPHORE), "eventfd");
	plan.start = check_fd(eventfd(0, EFD_CLOEXEC | EFD_SEMAPHORE), "eventfd");
	plan.leave = check_fd(eventfd(0, EFD_CLOEXEC | EFD_SEMAPHORE), "eventfd");
	plan.stop = check_fd(eventfd(0, EFD_CLOEXEC), "eventfd");
	load_prepare(&plan);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	for (int i = 0; i < 3; i++) {
		sigaction(ends[i], &(struct sigaction){.sa_handler = SIG_IGN}, &old[i]);
		if (old[i].sa_handler != SIG_IGN) /* else it stays ignored: nohup */
			sigaddset(&set, ends[i]);
	}
	sigprocmask(SIG_BLOCK, &set, NULL);
	signals = check_fd(signalfd(-1, &set, SFD_CLOEXEC), "signalfd");
	for (; running < processes; running++)
		if (child_fork() == 0)
			run_process(running);
	for (int i = 0; i < 3; i++)
		sigaction(ends[i], &old[i], NULL);
}

static void reap(void)
{
	int status;

	while (waitpid(-1, &status, WNOHANG) > 0) {
		running--;
		if (WIFSIGNALED(status))
			warnx("a process of the load was killed by signal %d", WTERMSIG(status));
		broken = broken || status != 0;
	}
}

static _Noreturn void end_by_signal(int number)
{
	sigset_t one;

	signal(number, SIG_DFL);
	sigemptyset(&one);
	sigaddset(&one, number);
	sigprocmask(SIG_UNBLOCK, &one, NULL);
	raise(number);
	_exit(128 + number); /* not reached */
}

static void read_signal(void)
{
	struct signalfd_siginfo info;

	check_fd((int)read(signals, &info, sizeof(info)), "signalfd");
	if (interrupted && info.ssi_signo != SIGCHLD)
		end_by_signal((int)info.ssi_signo); /* the second one ends it at once */
	if (info.ssi_signo == SIGCHLD)
		reap();
	else
		interrupted = (int)info.ssi_signo;
}

static void read_ready(void)
{
	uint64_t more;

	check_fd((int)read(plan.ready, &more, sizeof(more)), "eventfd");
	ready += (int64_t)more;
}

/* Looks after signals and workers for so long at most, or until fd (-1: none) is readable: true. */
static bool wait_for(int64_t ns, int fd)
{
	struct pollfd polled[] = {{.fd = signals, .events = POLLIN},
				  {.fd = plan.ready, .events = POLLIN},
				  {.fd = fd, .events = POLLIN}};
	struct timespec timeout = {ns / second_ns, ns % second_ns};

	check_fd(ppoll(polled, 3, &timeout, NULL), "ppoll");
	if (polled[0].revents)
		read_signal();
	if (polled[1].revents)
		read_ready();
	return polled[2].revents;
}

/*
 * Waits until this time of CLOCK_MONOTONIC.  False if something happens before: all workers are
 * ready, or have ended, one failed, or a signal was received.
 */
static bool wait_until(int64_t ns)
{
	for (;;) {
		int64_t left = ns - span_now();

		if (left <= 0)
			return true;
		wait_for(left, -1);
		if (interrupted || broken || !running || ready == plan.workers)
			return false;
	}
}

static void add_to_eventfd(int fd, int64_t number)
{
	uint64_t value = (uint64_t)number;

	check_fd((int)write(fd, &value, sizeof(value)), "eventfd");
}

static void release_workers(int semaphore)
{
	ready = 0;
	add_to_eventfd(semaphore, plan.workers);
}

static int64_t memory_of(const struct load_server *server)
{
	return server->pss_bytes >= 0 ? server->pss_bytes : server->rss_bytes;
}

/* Before the window there is nothing to keep. */
static void end_if_interrupted(void)
{
	if (!interrupted)
		return;
	drop_files();
	end_by_signal(interrupted);
}

/* Waits until all connections are open. */
static void await_ready(void)
{
	wait_until(INT64_MAX);
	end_if_interrupted();
	if (ready == plan.workers)
		return;
	if (!atomic_load(&shared->open_error))
		exit(EXIT_USAGE); /* the process has printed why */
	errno = atomic_load(&shared->open_error);
	err(1, "%s", plan.server_name);
}

/* --- the barrier ------------------------------------------------------------- */

static const int64_t again_ns = 50000000; /* until the barrier may be there */

/* As wait_for(), where a signal or a broken process ends this one. */
static bool wait_for_others(int64_t ns, int fd)
{
	bool readable = wait_for(ns, fd);

	end_if_interrupted();
	if (broken || !running)
		exit(EXIT_USAGE); /* the process has printed why */
	return readable;
}

/* Waits for the answer, which all generators get together. */
static void await_answer(void)
{
	int64_t deadline_ns = span_now() + wait_ms * 1000000;
	int error = EAGAIN;

	while (error == EAGAIN) {
		int64_t left = deadline_ns - span_now();

		if (left <= 0)
			errx(EXIT_USAGE, "--barrier: %s: not all generators came within %s",
			     barrier_at, text_time((double)wait_ms * 1e6));
		if (wait_for_others(left, barrier.fd))
			error = barrier_read(&barrier, &answer);
	}
	if (error == EBADMSG)
		errx(EXIT_USAGE, "--barrier: %s is no barrier", barrier_at);
	if (error)
		errx(EXIT_USAGE, "--barrier: %s ended before all generators were there",
		     barrier_at);
}

static void meet(void)
{
	if (!common)
		return;
	barrier_arrive(&barrier, common);
	await_answer();
}

/* With all connections open: connects, as soon as it is served, and learns which generator this is. */
static void join_barrier(const json_t *run)
{
	int64_t deadline_ns = span_now() + wait_ms * 1000000;
	int error;

	if (!barrier_at)
		return;
	common = load_common(run);
	while ((error = barrier_connect(&barrier, &barrier_address, wait_ms)) == ECONNREFUSED &&
	       span_now() < deadline_ns)
		wait_for_others(again_ns, -1);
	errno = error;
	if (error)
		err(EXIT_USAGE, "--barrier: %s", barrier_at);
	meet();
	atomic_store(&shared->window.generator, answer.generator);
	atomic_store(&shared->window.generators, answer.generators);
}

/* All windows began within the time from the answer before, which the barrier's clock has measured. */
static void write_barrier_row(void)
{
	await_answer();
	write_row(json_pack("{s:s,s:s,s:I,s:I,s:I}", "row", "barrier", "id", answer.id, "generator",
			    (json_int_t)answer.generator, "generators",
			    (json_int_t)answer.generators, "began_within_ns",
			    (json_int_t)answer.since_ns));
}

/* --- what was measured ------------------------------------------------------- */

/* A row of what was counted since the last one, and a line on a terminal. */
static void write_second(int64_t begin_ns, int64_t now)
{
	static struct load_result before, all; /* they are large */
	static int64_t before_ns;
	json_t *row;

	if (now <= begin_ns)
		return; /* it was interrupted in the warm-up */
	load_count(&all, &plan, shared->tally);
	row = json_pack("{s:s,s:i,s:I,s:I}", "row", "second", "trial", 0, "at_ns",
			(json_int_t)(now - begin_ns), "elapsed_ns",
			(json_int_t)(now - (before_ns ? before_ns : begin_ns)));
	load_record_since(row, &all, &before);
	write_row(row);
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\r\033[K%4.0f s: %s requests", (double)(now - begin_ns) / 1e9,
			text_count(all.requests - before.requests));
	before = all;
	before_ns = now;
}

/* The window ends now instead. */
static void cut_window(void)
{
	atomic_store(&shared->window.end_ns, span_now());
	add_to_eventfd(plan.stop, 1);
}

/* Lets the workers send from begin to end, and waits for them.  False if they ended before. */
static bool make_load(int64_t begin, int64_t end, bool measured)
{
	bool whole = true;

	atomic_store(&shared->window.begin_ns, begin);
	atomic_store(&shared->window.end_ns, end);
	release_workers(measured ? plan.start : plan.warm);
	for (int64_t at = begin + second_ns; measured && whole && at < end; at += second_ns) {
		whole = wait_until(at);
		if (whole)
			write_second(begin, at);
	}
	whole = (whole && wait_until(end)) || (!interrupted && span_now() >= end);
	if (!whole)
		cut_window();
	while (running && !broken && ready < plan.workers) { /* who was killed is never ready */
		wait_until(INT64_MAX);
		if (!interrupted || measured)
			continue;
		whole = false; /* no window follows */
		cut_window();  /* a warm-up goes on until all connections were asked */
	}
	return whole;
}

/* While all connections are open. */
static struct load_held held_now(bool server_seen)
{
	static struct load_server own;
	struct load_kernel now = load_kernel();
	struct load_held held = {
		.open_ns = open_ns,
		.kernel_grown = {now.bytes - kernel_empty.bytes,
				 now.available_bytes - kernel_empty.available_bytes,
				 now.sockets - kernel_empty.sockets,
				 now.tracked - kernel_empty.tracked}};

	load_snapshot(self, &own);
	held.rss_bytes = own.rss_bytes;
	if (server_seen) {
		held.server_grown = memory_of(&server_after) - server_empty;
		held.server_grown_files = server_after.files - files_empty;
	}
	return held;
}

/*
 * Warms up and makes the load, and sums up the tallies.  False if the server closed all
 * connections.
 */
static bool measure(struct load_result *result)
{
	int64_t begin = span_now();
	bool whole = make_load(begin, begin + warmup_ms * 1000000, false);
	bool seen = server_pid && load_snapshot((pid_t)server_pid, &server_before);
	struct load_held held;
	bool began;

	if (whole)
		meet();
	write_row(json_pack("{s:s}", "row", "window")); /* for who waits for its begin */
	begin = whole ? span_now() : never_ns;          /* no request is due after that */
	began = common && whole;
	if (began)
		barrier_arrive(&barrier, common);
	whole = make_load(begin, whole ? begin + duration_ms * 1000000 : 0, true) && whole;
	write_second(begin, span_now());
	if (began && !interrupted && !broken)
		write_barrier_row();
	if (isatty(STDERR_FILENO))
		fputs("\r\033[K", stderr);
	seen = seen && load_snapshot((pid_t)server_pid, &server_after);
	held = held_now(seen);
	release_workers(plan.leave);
	while (running)
		wait_until(INT64_MAX);
	load_sum_up(result, &plan, shared->tally, seen ? &server_before : NULL, &server_after);
	result->begin_ns = begin;
	result->held = held;
	return whole || interrupted || broken;
}

static void write_hgrm(const struct histogram *latency)
{
	char *text = NULL;
	size_t length = 0;
	FILE *memory;
	int error;

	if (!latencies)
		return;
	memory = check_alloc(open_memstream(&text, &length));
	histogram_write(latency, memory);
	if (fclose(memory) != 0)
		err(EXIT_USAGE, "no memory");
	error = rows_write_text(latencies, text, length);
	if (error)
		rows_drop(latencies);
	else
		error = rows_keep(latencies);
	latencies = NULL;
	free(text);
	errno = error;
	if (error)
		err(EXIT_USAGE, "%s", hgrm);
}

/* The last error of a worker, of when the server closed its connections. */
static const char *last_error(void)
{
	for (int64_t i = 0; i < plan.workers; i++)
		if (shared->tally[i].last_error)
			return strerror(shared->tally[i].last_error);
	return "it closed the connections";
}

/* Where the text goes: standard output, unless the rows do. */
static FILE *text_out(void)
{
	return output && strcmp(output, "-") == 0 ? stderr : stdout;
}

static void end_text(void)
{
	if (output && text_out() == stdout)
		printf("  rows: %s\n", output);
	if (fflush(stdout) != 0 || ferror(stdout))
		err(EXIT_USAGE, "standard output");
}

static int merge_files(int n, char *const paths[])
{
	static struct load_merged merged; /* it is large */
	struct machine_load begin;
	size_t i;
	json_t *row;

	machine_load(&begin);
	load_merge(&merged, n, paths, describe_run());
	open_files();
	json_array_foreach(merged.rows, i, row) write_row(json_incref(row));
	write_end_row(&begin, merged.right);
	write_hgrm(&merged.result.all.latency);
	load_merge_print(text_out(), &merged);
	end_text();
	return merged.right ? 0 : 1;
}

static int make_whole_load(void)
{
	static struct load_result result; /* it is large */
	struct machine_load begin;
	json_t *row;
	bool here;

	make_plan();
	open_files();
	machine_load(&begin);
	kernel_empty = load_kernel();
	server_empty = memory_of(&server_before);
	files_empty = server_before.files;
	open_ns = -span_now();
	start_processes();
	await_ready();
	open_ns += span_now();
	row = describe_run();
	write_row(json_incref(row));
	join_barrier(row);
	json_decref(row);
	here = measure(&result);
	row = json_pack("{s:s,s:i}", "row", "sample", "trial", 0);
	load_record(row, &result);
	load_record_machine(row, &result);
	write_row(row);
	row = json_pack("{s:s,s:i}", "row", "histogram", "trial", 0);
	histogram_record(&result.all.latency, row);
	write_row(row);
	write_end_row(&begin, here && !broken && !result.errors);
	write_hgrm(&result.all.latency);
	load_print(text_out(), &plan, &result);
	load_print_machine(text_out(), &plan, &result);
	load_print_notes(text_out(), &plan, &result);
	end_text();
	if (broken)
		return EXIT_USAGE; /* the process has printed why */
	if (!here && result.all.count[LOAD_NO_PORT])
		errx(1,
		     "%s: no port is left here for another connection: a lower --rate, or further hosts",
		     plan.server_name);
	if (!here)
		errx(1, "%s went away: %s", plan.server_name, last_error());
	if (interrupted)
		end_by_signal(interrupted);
	return result.errors ? 1 : 0;
}

/* Options that exclude each other, or need another one. */
static void check_modes(int argc, char *const argv[], int rest)
{
	if (!merge && rest < argc)
		opt_unexpected(argv[rest]);
	if (merge && (serve || barrier_at))
		errx(EXIT_USAGE, "--merge: it makes no load, so it has no --%s",
		     serve ? "serve" : "barrier");
	if (serve && !barrier_at)
		errx(EXIT_USAGE, "--serve: --barrier says where, such as 192.0.2.1:7001");
	if (barrier_at)
		barrier_address = address_parse("--barrier", barrier_at);
}

int main(int argc, char *argv[])
{
	int rest;
	const struct opt_page page = {
		.doc = "Makes echo requests and measures the answers.\v"
		       "Closed loop: a connection that waits for an answer sends nothing, so a server that pauses gets no requests meanwhile, and its pause is hardly seen.  "
		       "Open loop (--rate): latency counts from when a request was due.\n\n"
		       "Exit status: 0 measured, 1 errors or wrong bytes, or the server went away, 2 bad usage or environment.",
		.tables = {{"The load:", opts}, {"From several hosts (docs/loads.md):", host_opts}},
		.arguments = "[--merge FILE...]",
		.rest = &rest};

	opt_parse(&page, argc, argv);
	setlocale(LC_CTYPE, "");
	signal(SIGPIPE, SIG_IGN);
	check_modes(argc, argv, rest);
	if (serve) {
		barrier_serve(&barrier_address, serve, wait_ms);
		return 0;
	}
	return merge ? merge_files(argc - rest, argv + rest) : make_whole_load();
}
