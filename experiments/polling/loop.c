/* SPDX-License-Identifier: MIT */
/*
 * loop - whom does a handler that waits hold up?
 *
 * A server is one thread with an event loop.  Two quick clients send short requests all the time,
 * each when it is due, whatever has become of those before; a third one sends one request, which
 * needs the answer of a slow back end:
 *
 *	prompt   which is skipped (control)
 *	blocks   the loop waits for it in recv: one thread, so that everybody waits (trap)
 *	thread   another thread waits for it (cure)
 *	event    the loop waits for it as it waits for the clients: by epoll (cure)
 *
 * That a blocking call leaves other threads alone is in threads_go_on.c.
 */
#include <err.h>
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "exp.h"
#include "old.h"
#include "span.h"
#include "text.h"

enum { PROMPT, BLOCKS, THREAD, EVENT, VARIANTS };
enum { QUICK = 2, SLOW = QUICK, CLIENTS, BACK_END = CLIENTS, PEERS };
enum { SERVER_END, OTHER_END };
enum { MS = 1000000, BEFORE_MS = 4, AFTER_MS = 6, PATIENCE_S = 2, MOST = 256 };

static const struct variant variants[] = {
	[PROMPT] = {"prompt", "an event loop whose handlers do not wait (control)"},
	[BLOCKS] = {"blocks", "one handler waits, and with it the loop (trap)"},
	[THREAD] = {"thread", "a thread waits for that handler (cure)"},
	[EVENT] = {"event", "the loop gets the answer as an event (cure)"},
	{0}};

static const struct claim claims[] = {
	{"poll-loop-blocked", "a handler that waits holds up everybody whom the loop serves"}, {0}};

static int64_t block_ms = 100;

static const struct opt opts[] = {{'b', "block", "how long the back end takes for its answer",
				   .num = &block_ms, .min = 10, .quick = 20, .max = 500,
				   .unit = OPT_MS},
				  {0}};

static const struct experiment about = {
	.name = "loop",
	.group = "polling",
	.summary = "Whom does a handler that waits hold up?",
	.claims = claims,
	.opts = opts,
	.variants = variants,
	.trials = 5,
	.quick_trials = 2,
};

/* A request, its answer, and what the back end is asked: one datagram of a socket pair each. */
struct message {
	int64_t number, due_ns;
};

static bool get(int fd, struct message *message)
{
	return recv(fd, message, sizeof(*message), 0) == sizeof(*message);
}

static void put(int fd, struct message message)
{
	if (send(fd, &message, sizeof(message), MSG_NOSIGNAL) < 0 && errno != EPIPE)
		err(EXIT_USAGE, "send");
}

/* --- the server ---------------------------------------------------------- */

struct server {
	size_t variant;
	int fd[PEERS];          /* of the quick clients, the slow one and the back end */
	struct message waiting; /* the slow client's request */
	pthread_t thread, helper;
	bool helped;
};

static void answer_slow(const struct server *s)
{
	put(s->fd[SLOW], s->waiting);
}

/* Waits for the back end, on whose answer the slow client's depends. */
static void *wait_for_back_end(void *argument)
{
	const struct server *s = argument;
	struct message answer;

	if (get(s->fd[BACK_END], &answer))
		answer_slow(s);
	return NULL;
}

static void handle_slow(struct server *s, struct message request)
{
	s->waiting = request;
	if (s->variant == PROMPT) {
		answer_slow(s);
		return;
	}
	put(s->fd[BACK_END], request);
	if (s->variant == BLOCKS)
		wait_for_back_end(s);
	if (s->variant == THREAD) {
		check(pthread_create(&s->helper, NULL, wait_for_back_end, s), "pthread_create");
		s->helped = true;
	}
}

/* False when that peer is gone: the end. */
static bool handle(struct server *s, int peer)
{
	struct message message;

	if (!get(s->fd[peer], &message))
		return false;
	if (peer < QUICK)
		put(s->fd[peer], message);
	else if (peer == SLOW)
		handle_slow(s, message);
	else
		answer_slow(s);
	return true;
}

static void *serve(void *argument)
{
	struct server *s = argument;
	int epoll = check_fd(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
	struct epoll_event event;

	for (int i = 0; i < PEERS; i++) {
		event = (struct epoll_event){.events = EPOLLIN, .data.fd = i};
		if (i != BACK_END || s->variant == EVENT)
			check_fd(epoll_ctl(epoll, EPOLL_CTL_ADD, s->fd[i], &event), "epoll_ctl");
	}
	do
		while (epoll_wait(epoll, &event, 1, -1) != 1)
			;
	while (handle(s, event.data.fd));
	close(epoll);
	return NULL;
}

/* --- its peers ----------------------------------------------------------- */

/* A thread that gets a client's answers. */
struct client {
	int fd;
	int64_t expected; /* requests */
	pthread_t thread;
	int64_t answers, wrong;
	int64_t due_ns[MOST], latency_ns[MOST]; /* of the answers, in their order */
};

static void *get_answers(void *argument)
{
	struct client *c = argument;
	struct message answer;

	for (; c->answers < c->expected && get(c->fd, &answer); c->answers++) {
		c->wrong += answer.number != c->answers;
		c->due_ns[c->answers] = answer.due_ns;
		c->latency_ns[c->answers] = span_now() - answer.due_ns;
	}
	return NULL;
}

static void *be_slow(void *argument)
{
	const int *fd = argument;
	struct message question;

	if (get(*fd, &question)) {
		run_sleep_until(span_now() + block_ms * MS);
		put(*fd, question);
	}
	return NULL;
}

/* A request is due each millisecond, of the quick clients by turns. */
static void send_requests(const struct client *clients, int64_t begin_ns)
{
	int64_t n = clients[0].expected + clients[1].expected;

	for (int64_t i = 0; i < n && run_sleep_until(begin_ns + i * MS); i++) {
		struct message request = {i / QUICK, begin_ns + i * MS};

		put(clients[i % QUICK].fd, request);
		if (i == BEFORE_MS)
			put(clients[SLOW].fd, (struct message){0, request.due_ns});
	}
}

/* --- trials -------------------------------------------------------------- */

static void record(struct run *run, const struct client *clients, int64_t begin_ns)
{
	const struct client *slow = &clients[SLOW];
	int64_t all_ns[QUICK * MOST];
	struct values latency = {all_ns, 0};
	int64_t requests = 0, late = 0, wrong = slow->wrong;

	for (int i = 0; i < QUICK; i++) {
		const struct client *c = &clients[i];

		requests += c->expected;
		wrong += c->wrong;
		for (int64_t k = 0; k < c->answers; k++) {
			latency.at[latency.n++] = c->latency_ns[k];
			late += c->latency_ns[k] > block_ms * MS / 2;
			if (run_trial(run) == 0)
				run_row(run, "request",
					(struct field[]){{"client", i},
							 {"due_ns", c->due_ns[k] - begin_ns},
							 {"latency_ns", c->latency_ns[k]},
							 {0}});
		}
	}
	run_record(run, (struct field[]){
				{"requests", requests},
				{"answers", (int64_t)latency.n},
				{"slow_answers", slow->answers},
				{"wrong_answers", wrong},
				{"slow_due_ns", BEFORE_MS * (int64_t)MS},
				{"slow_ns", slow->answers ? slow->latency_ns[0] : 0},
				{"p50_ns", latency.n ? (int64_t)stats_quantile(latency, 0.5) : 0},
				{"worst_ns", latency.n ? (int64_t)stats_quantile(latency, 1) : 0},
				{"late_answers", late},
				{0}});
}

static void measure(struct run *run, size_t variant)
{
	const struct timeval patience = {.tv_sec = PATIENCE_S};
	const int64_t requests = BEFORE_MS + block_ms + AFTER_MS;
	struct client clients[CLIENTS] = {0};
	struct server s = {.variant = variant};
	int ends[PEERS][2];
	pthread_t back_end;
	int64_t begin_ns;

	for (int i = 0; i < PEERS; i++) {
		check_fd(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends[i]),
			 "socketpair");
		s.fd[i] = ends[i][SERVER_END];
	}
	check(pthread_create(&s.thread, NULL, serve, &s), "pthread_create");
	check(pthread_create(&back_end, NULL, be_slow, &ends[BACK_END][OTHER_END]),
	      "pthread_create");
	for (int i = 0; i < CLIENTS; i++) {
		struct client *c = &clients[i];

		c->fd = ends[i][OTHER_END];
		c->expected = i == SLOW ? 1 : requests / QUICK;
		check_fd(setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)),
			 "SO_RCVTIMEO");
		check(pthread_create(&c->thread, NULL, get_answers, c), "pthread_create");
	}
	begin_ns = span_now() + MS;
	send_requests(clients, begin_ns);
	for (int i = 0; i < CLIENTS; i++) {
		if (run_stopped())
			shutdown(clients[i].fd, SHUT_RDWR); /* not all was sent */
		check(pthread_join(clients[i].thread, NULL), "pthread_join");
	}
	shutdown(ends[SLOW][OTHER_END], SHUT_RDWR); /* whoever waits goes on, and ends */
	shutdown(ends[BACK_END][OTHER_END], SHUT_RDWR);
	check(pthread_join(s.thread, NULL), "pthread_join");
	check(pthread_join(back_end, NULL), "pthread_join");
	if (s.helped)
		check(pthread_join(s.helper, NULL), "pthread_join");
	for (int i = 0; i < PEERS; i++) {
		close(ends[i][SERVER_END]);
		close(ends[i][OTHER_END]);
	}
	record(run, clients, begin_ns);
}

/* --- report -------------------------------------------------------------- */

static void print_table(struct run *run)
{
	FILE *out = run_out(run);

	run_say(run,
		"One thread serves three clients; the third one's request needs an answer that "
		"takes %s. The two others ask every %d ms each.",
		text_time((double)(block_ms * MS)), QUICK);
	fprintf(out, "\n  %-12s %14s %14s %14s %20s\n", "variant", "third client", "others, p50",
		"worst", text_format("over %s", text_time((double)(block_ms * MS) / 2)));
	for (size_t v = 0; v < VARIANTS; v++)
		if (run_selected(run, v))
			fprintf(out, "  %-12s %14s %14s %14s %20s\n", variants[v].name,
				text_time(run_median(run, v, "slow_ns")),
				text_time(run_median(run, v, "p50_ns")),
				text_time(run_median(run, v, "worst_ns")),
				text_format("%.0f of %.0f", run_sum(run, v, "late_answers"),
					    run_sum(run, v, "answers")));
	fputs("\n", out);
}

static void judge(struct run *run)
{
	double half_ns = (double)(block_ms * MS) / 2;
	double blocks = run_median(run, BLOCKS, "worst_ns");
	double least = NAN, most = NAN; /* the worst in the other loops */

	for (size_t v = 0; v < VARIANTS; v++)
		if (v != BLOCKS) {
			least = fmin(least, run_median(run, v, "worst_ns")); /* leaves NAN out */
			most = fmax(most, run_median(run, v, "worst_ns"));
		}
	if (isnan(blocks) || isnan(most))
		return;
	old_verdict(run, "poll-loop-blocked", blocks > half_ns && most < half_ns ? HOLDS : NOT_SEEN,
		    (struct field[]){{"block_ns", block_ms * MS},
				     {"blocks_worst_ns", (int64_t)blocks},
				     {"least_worst_ns", (int64_t)least},
				     {"most_worst_ns", (int64_t)most},
				     {0}},
		    "while one handler waited %s in the loop, others waited %s at worst; in the "
		    "loops that do not wait %s to %s (medians of the trials)",
		    text_time((double)(block_ms * MS)), text_time(blocks), text_time(least),
		    text_time(most));
}

static void report(struct run *run)
{
	print_table(run);
	for (size_t v = 0; v < VARIANTS; v++)
		old_control(run,
			    run_sum(run, v, "answers") == run_sum(run, v, "requests") &&
				    run_sum(run, v, "slow_answers") ==
					    (double)run_values(run, v, "slow_answers").n &&
				    run_sum(run, v, "wrong_answers") == 0,
			    "%s: answers were lost or out of order", variants[v].name);
	judge(run);
	old_why(run, "whatever a thread would have done next waits, too; of an event loop that is "
		     "every client.");
}

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);

	while (run_next(run))
		measure(run, run_variant(run));
	return old_end(run, report);
}
