/* SPDX-License-Identifier: MIT */
/*
 * prefork - do processes that were forked beforehand serve in parallel, and isolated from each other?
 *
 * In parallel: clients are connected at the same time, each of them is answered while all the others
 * are connected, and different processes have answered them.  Isolated: one process that has answered
 * is killed; the clients of the others go on, and a new client is served.
 *
 * The other models are contrasts: iterative answers one client, the event loop answers all but in one
 * process, threads as well, and with that process all of them are gone.
 *
 * Then whether several clients need calls that do not block: while they are connected and silent, /proc
 * shows the flags of the server's sockets, and the call that its threads sleep in.
 */
#include <math.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "check.h"
#include "exp.h"
#include "judge.h"
#include "lib/server.h"

enum { BY_PREFORK, BY_FORK, BY_THREAD, BY_POOL, BY_EPOLL, BY_ITERATIVE };
enum { CLIENTS = 4, FAMILY = 256 };

static const struct variant variants[] = {
	MODEL_AS(BY_PREFORK, PREFORK, "prefork", "4 processes forked beforehand"),
	MODEL_AS(BY_FORK, FORK, "fork", "a process forked for every connection"),
	MODEL_AS(BY_THREAD, THREAD, "thread", "a thread for every connection"),
	MODEL_AS(BY_POOL, POOL, "pool", "4 threads started beforehand"),
	MODEL_AS(BY_EPOLL, EPOLL, "epoll", "one event loop"),
	MODEL_AS(BY_ITERATIVE, ITERATIVE, "iterative", "one connection after the other"),
	{0}};

static const struct claim claims[] = {
	{"srv-prefork", "pre-forked processes serve in parallel and isolated from each other",
	 "prefork=thread", REFUTED,
	 .why = {[HOLDS] =
			 "each worker is a process that accepts from the common listening socket. What kills it takes its own connection with it, and the parent starts another worker in its place."}},
	{"srv-several-need-nonblocking", "several peers need non-blocking or asynchronous calls",
	 "prefork=iterative,fork=iterative,thread=iterative,pool=iterative", HOLDS,
	 .why = {[REFUTED] =
			 "a call blocks the thread that makes it, and no other. A thread or a process for each peer may sleep in recv; one thread for all of them may not, so it is the one that needs calls that do not block, and somebody who says which peer to serve next."}},
	{0}};

static const struct row_field fields[] = {
	{"clients", "connected at the same time"},
	{"answered_clients", "of these: answered while all of them were connected", "answered"},
	{"serving_processes", "that answered them: that slept once more than before",
	 "by|processes"},
	{"parallel", "1: all were answered, each by a process of its own", "parallel",
	 SHOW_NONZERO},
	{"go_on_clients", "answered after one of these processes was killed", "one killed:|go on"},
	{"served_anew", "1: a new client was served then", "newcomer|served", SHOW_NONZERO},
	{"isolated", "1: all but one client went on, and the new one was served", "isolated",
	 SHOW_NONZERO},
	{"sockets", "descriptors of the server's processes, while all clients were connected"},
	{"nonblocking_sockets", "of these, with O_NONBLOCK", "sockets with|O_NONBLOCK"},
	{"receiving_threads", "of the server, that slept in recv then", "asleep|in recv"},
	{"served_blocking", "1: all were answered, and no socket had O_NONBLOCK"},
	{"unseen_nonblock", "1: of the event loop's sockets not every one was seen to have it",
	 .zero = true, .sham = "epoll=thread"},
	{"wrong_bytes", "of all answers", .zero = true, .sham = "greet"},
	{0}};

static const struct bound bounds[] = {
	{"enough_trials", 5, "what is so by chance would not be so in each of them"}, {0}};

static int64_t hold_ms = 20;

static const struct opt opts[] = {{0, "hold", "for so long at least an answer is waited for",
				   .num = &hold_ms, .min = 5, .max = 10000, .unit = OPT_MS},
				  {0}};

struct process {
	pid_t pid;
	int64_t sleeps; /* so far */
};

/* When all of them sleep. */
static size_t look(const struct server *server, struct process all[FAMILY])
{
	pid_t pids[FAMILY];
	size_t n;

	server_await_sleep(server);
	n = program_family(server->program.pid, pids, FAMILY);
	for (size_t i = 0; i < n; i++)
		all[i] = (struct process){pids[i], program_sleeps(pids[i])};
	return n;
}

static int64_t answered(const struct server *server, const int *clients, int64_t *wrong)
{
	int64_t n = 0;

	for (size_t i = 0; i < CLIENTS; i++)
		n += server_ask(server, clients[i], hold_ms * 1000000, wrong) == ANSWERED;
	return n;
}

/* How many processes have served, so slept, since; *one: one of them, a worker if there are workers. */
static int64_t served_by(const struct server *server, const struct process *before, size_t n,
			 pid_t *one)
{
	struct process now[FAMILY];
	size_t now_n = look(server, now);
	int64_t serving = 0;

	*one = server->program.pid;
	for (size_t i = 0; i < now_n; i++)
		for (size_t k = 0; k < n; k++)
			if (now[i].pid == before[k].pid && now[i].sleeps > before[k].sleeps) {
				serving++;
				*one = now[i].pid;
			}
	return serving;
}

static void measure(struct run *run, struct server *server)
{
	struct process before[FAMILY];
	int clients[CLIENTS];
	int64_t wrong = 0;
	struct program_sockets sockets;
	int64_t first, receiving, serving, go_on;
	bool is_loop = run_label(run) == BY_EPOLL;
	bool anew = false;
	pid_t victim;
	size_t n;
	int newcomer;

	for (size_t i = 0; i < CLIENTS; i++)
		clients[i] = check_fd(server_connect(server), "connect");
	first = answered(server, clients, &wrong);
	n = look(server, before);
	sockets = program_sockets(server->program.pid);
	receiving = program_threads_in(server->program.pid, SYS_recvfrom);
	answered(server, clients, &wrong);
	serving = served_by(server, before, n, &victim);
	check_fd(kill(victim, SIGKILL), "kill");
	go_on = answered(server, clients, &wrong);
	close(clients[0]);
	close(clients[1]);
	newcomer = server_connect(server);
	if (newcomer >= 0) {
		anew = server_ask(server, newcomer, hold_ms * 1000000, &wrong) == ANSWERED;
		close(newcomer);
	}
	close(clients[2]);
	close(clients[3]);
	run_record(run, (struct field[]){{"clients", CLIENTS},
					 {"answered_clients", first},
					 {"serving_processes", serving},
					 {"parallel", first == CLIENTS && serving >= CLIENTS},
					 {"go_on_clients", go_on},
					 {"served_anew", anew},
					 {"isolated", go_on == CLIENTS - 1 && anew},
					 {"wrong_bytes", wrong},
					 {"sockets", sockets.all},
					 {"nonblocking_sockets", sockets.nonblocking},
					 {"receiving_threads", receiving},
					 {sockets.all == 0 ? NULL /* /proc shows none */
					  : is_loop        ? "unseen_nonblock"
							   : "served_blocking",
					  is_loop ? sockets.nonblocking <= CLIENTS
						  : first == CLIENTS && sockets.nonblocking == 0},
					 {0}});
}

/* --- judge --------------------------------------------------------------- */

/* The models that only block, which are the first ones; iterative does as well. */
static void judge_blocking(struct run *run, int64_t enough)
{
	struct share served = run_nonzero_in(run, BY_PREFORK, BY_POOL, "served_blocking");
	double receiving = INFINITY;

	for (size_t v = BY_PREFORK; v <= BY_POOL; v++)
		receiving = fmin(receiving, run_median(run, v, "receiving_threads"));
	run_judge(
		run, "srv-several-need-nonblocking", never_happens(served, enough),
		"servers with a process or a thread for each of {clients} clients answered all of them while all were connected, without O_NONBLOCK on any socket, in {served} trials; at least {receiving} threads slept in recv then; an iterative server answered {iterative}, an event loop {loop} with O_NONBLOCK on {nonblocking} sockets",
		number_int("clients", CLIENTS), number_share("served", served),
		number_real("receiving", receiving),
		number_real("iterative", run_median(run, BY_ITERATIVE, "answered_clients")),
		number_real("loop", run_median(run, BY_EPOLL, "answered_clients")),
		number_real("nonblocking", run_median(run, BY_EPOLL, "nonblocking_sockets")));
}

static void judge(struct run *run)
{
	int64_t enough = (int64_t)run_bound(run, "enough_trials");
	struct share parallel = run_nonzero(run, BY_PREFORK, "parallel");
	struct share isolated = run_nonzero(run, BY_PREFORK, "isolated");

	run_judge(
		run, "srv-prefork",
		all_of(always_happens(parallel, enough), always_happens(isolated, enough)),
		"in {parallel} trials {answered} of {clients} clients were answered at a time, by {processes} processes; in {isolated} trials all but one went on when one process was killed, and a new one was served",
		number_share("parallel", parallel),
		number_real("answered", run_median(run, BY_PREFORK, "answered_clients")),
		number_int("clients", CLIENTS),
		number_real("processes", run_median(run, BY_PREFORK, "serving_processes")),
		number_share("isolated", isolated));
	judge_blocking(run, enough);
}

static const struct experiment about = {
	.name = "prefork",
	.group = "echo",
	.order = 605,
	.summary = "Do processes forked beforehand serve in parallel, and isolated?",
	.intro =
		"Four clients are connected and ask in turn; then one process that answered is killed, and they ask again.",
	.claims = claims,
	.opts = opts,
	.variants = variants,
	.fields = fields,
	.bounds = bounds,
	.trials = 20,
	.quick_trials = 5,
	.judge = judge,
};

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);

	models_leave_out(run, variants, MODELS);
	while (run_next(run)) {
		struct server server = server_start(run, run_how(run), ALL_CPUS, CLIENTS, NULL);

		measure(run, &server);
		program_kill(&server.program);
	}
	return run_end(run);
}
