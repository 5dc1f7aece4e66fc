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
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "exp.h"
#include "judge.h"
#include "span.h"

enum { PROMPT, BLOCKS, THREAD, EVENT, VARIANTS };
enum { QUICK = 2, SLOW = QUICK, CLIENTS, BACK_END = CLIENTS, PEERS };
enum { SERVER_END, OTHER_END };
enum { MS = 1000000, BEFORE_MS = 4, AFTER_MS = 6, MOST = 256 };

/* Whether the slow client's request needs the back end, and who waits for that. */
struct handling {
	bool asks, loop_waits, thread_waits, epoll_waits;
};

static const struct variant variants[] = {
	[PROMPT] = {"prompt", "an event loop whose handlers do not wait (control)",
		    &(struct handling){0}},
	[BLOCKS] = {"blocks", "one handler waits, and with it the loop (trap)",
		    &(struct handling){.asks = true, .loop_waits = true}},
	[THREAD] = {"thread", "a thread waits for that handler (cure)",
		    &(struct handling){.asks = true, .thread_waits = true}},
	[EVENT] = {"event", "the loop gets the answer as an event (cure)",
		   &(struct handling){.asks = true, .epoll_waits = true}},
	{0}};

static const struct claim claims[] = {
	{"poll-loop-blocked", "a handler that waits holds up everybody whom the loop serves",
	 "blocks=event", REFUTED,
	 .why = {[HOLDS] =
			 "whatever a thread would have done next waits, too; of an event loop that is every client."}},
	{0}};

static const struct control controls[] = {
	{"prompt-holds-up-nobody", "where no handler waits, nobody is held up", "prompt=blocks"},
	{0}};

static const struct row_field fields[] = {
	{"slow_ns", "from when the slow client's request was due until it was answered",
	 "third|client"},
	{"p50_ns", "the same of the two quick clients' requests, p50", "others|p50"},
	{"worst_ns", "of these, the longest", "worst"},
	{"least_held_ns", "the longest of that client whose longest is the shorter one",
	 "the other's|worst"},
	{"late_answers", "of the answers: later than held_share of the block", "late", SHOW_SUM,
	 "answers"},
	{"answers", "to the two quick clients"},
	{"requests", "of the two quick clients"},
	{"slow_answers", "to the slow client"},
	{"slow_due_ns", "when the slow client's request was due, since the first request"},
	{"missing_answers", "requests without an answer, of all clients", .zero = true,
	 .sham = "lose"},
	{"wrong_answers", "answers that were not the next one", .zero = true, .sham = "lose"},
	{"client", "its number", .row = "request"},
	{"due_ns", "when the request was due, since the first request", .row = "request"},
	{"latency_ns", "from then until it was answered", .row = "request"},
	{0}};

static const struct bound bounds[] = {
	{"held_share", 0.5,
	 "of the block, more than where no handler waits: who asks in its first half waits longer"},
	{0}};

static int64_t block_ms = 100;

static const struct opt opts[] = {{'b', "block", "how long the back end takes for its answer",
				   .num = &block_ms, .min = 10, .quick = 12, .max = 500,
				   .unit = OPT_MS},
				  {0}};

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
	struct handling how;
	int fd[PEERS];          /* of the quick clients, the slow one and the back end */
	struct message waiting; /* the slow client's request */
	pthread_t thread, helper;
	bool helped;
	bool loses; /* a sham */
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
	if (s->how.asks)
		put(s->fd[BACK_END], request);
	else
		answer_slow(s);
	if (s->how.loop_waits)
		wait_for_back_end(s);
	if (s->how.thread_waits) {
		check(pthread_create(&s->helper, NULL, wait_for_back_end, s), "pthread_create");
		s->helped = true;
	}
}

/* False when that peer sends no more. */
static bool handle(struct server *s, int peer)
{
	struct message message;

	if (!get(s->fd[peer], &message))
		return false;
	if (peer == SLOW)
		handle_slow(s, message);
	else if (peer == BACK_END)
		answer_slow(s);
	else if (!s->loses || message.number > 0)
		put(s->fd[peer], message);
	return true;
}

static void *serve(void *argument)
{
	struct server *s = argument;
	int epoll = check_fd(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
	int peers = s->how.epoll_waits ? PEERS : CLIENTS;
	struct epoll_event event;

	for (int i = 0; i < peers; i++) {
		event = (struct epoll_event){.events = EPOLLIN, .data.fd = i};
		check_fd(epoll_ctl(epoll, EPOLL_CTL_ADD, s->fd[i], &event), "epoll_ctl");
	}
	for (int left = peers; left > 0;) {
		check_fd(epoll_wait(epoll, &event, 1, -1), "epoll_wait");
		if (handle(s, event.data.fd))
			continue;
		check_fd(epoll_ctl(epoll, EPOLL_CTL_DEL, s->fd[event.data.fd], NULL), "epoll_ctl");
		if (event.data.fd == SLOW) /* no more questions */
			shutdown(s->fd[BACK_END], SHUT_WR);
		left--;
	}
	if (s->helped)
		check(pthread_join(s->helper, NULL), "pthread_join");
	for (int i = 0; i < PEERS; i++)
		shutdown(s->fd[i], SHUT_RDWR);
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
	shutdown(*fd, SHUT_WR);
	return NULL;
}

/* A request is due each millisecond, of the quick clients by turns; then no more come. */
static void send_requests(const struct client *clients, int64_t begin_ns)
{
	int64_t n = clients[0].expected + clients[1].expected;

	for (int64_t i = 0; i < n && run_sleep_until(begin_ns + i * MS); i++) {
		struct message request = {i / QUICK, begin_ns + i * MS};

		put(clients[i % QUICK].fd, request);
		if (i == BEFORE_MS)
			put(clients[SLOW].fd, (struct message){0, request.due_ns});
	}
	for (int i = 0; i < CLIENTS; i++)
		check_fd(shutdown(clients[i].fd, SHUT_WR), "shutdown");
}

/* --- trials -------------------------------------------------------------- */

static void record(struct run *run, const struct client *clients, int64_t begin_ns)
{
	const struct client *slow = &clients[SLOW];
	const double late_ns = run_bound(run, "held_share") * (double)(block_ms * MS);
	int64_t all_ns[QUICK * MOST];
	int64_t worst_ns[QUICK] = {0};
	struct values latency = {all_ns, 0};
	int64_t requests = 0, late = 0, wrong = slow->wrong;

	for (int i = 0; i < QUICK; i++) {
		const struct client *c = &clients[i];

		requests += c->expected;
		wrong += c->wrong;
		for (int64_t k = 0; k < c->answers; k++) {
			latency.at[latency.n++] = c->latency_ns[k];
			late += (double)c->latency_ns[k] > late_ns;
			if (c->latency_ns[k] > worst_ns[i])
				worst_ns[i] = c->latency_ns[k];
			if (run_trial(run) == 0)
				run_row(run, "request",
					(struct field[]){{"client", i},
							 {"due_ns", c->due_ns[k] - begin_ns},
							 {"latency_ns", c->latency_ns[k]},
							 {0}});
		}
	}
	run_record(run,
		   (struct field[]){
			   {"requests", requests},
			   {"answers", (int64_t)latency.n},
			   {"slow_answers", slow->answers},
			   {"missing_answers", requests + 1 - (int64_t)latency.n - slow->answers},
			   {"wrong_answers", wrong},
			   {"slow_due_ns", BEFORE_MS * (int64_t)MS},
			   {"slow_ns", slow->answers ? slow->latency_ns[0] : 0},
			   {"p50_ns", latency.n ? (int64_t)stats_quantile(latency, 0.5) : 0},
			   {"worst_ns", worst_ns[worst_ns[0] < worst_ns[1]]},
			   {"least_held_ns", worst_ns[worst_ns[0] > worst_ns[1]]},
			   {"late_answers", late},
			   {0}});
}

static void measure(struct run *run)
{
	const int64_t requests = BEFORE_MS + block_ms + AFTER_MS;
	const struct handling *how = run_how(run);
	struct client clients[CLIENTS] = {0};
	struct server s = {.how = *how, .loses = run_sham(run, "lose")};
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
		check(pthread_create(&c->thread, NULL, get_answers, c), "pthread_create");
	}
	begin_ns = span_now() + MS;
	send_requests(clients, begin_ns);
	check(pthread_join(s.thread, NULL), "pthread_join");
	check(pthread_join(back_end, NULL), "pthread_join");
	for (int i = 0; i < CLIENTS; i++)
		check(pthread_join(clients[i].thread, NULL), "pthread_join");
	for (int i = 0; i < PEERS; i++) {
		close(ends[i][SERVER_END]);
		close(ends[i][OTHER_END]);
	}
	record(run, clients, begin_ns);
}

/* --- judge --------------------------------------------------------------- */

static void judge(struct run *run)
{
	double held_ns = run_bound(run, "held_share") * (double)(block_ms * MS);
	struct interval least = run_interval(run, BLOCKS, "least_held_ns");
	struct interval thread = run_interval(run, THREAD, "worst_ns");
	struct interval event = run_interval(run, EVENT, "worst_ns");
	struct interval prompt =
		run_interval(run, PROMPT, "worst_ns"); /* the machine's own delay */

	run_judge(
		run, "poll-loop-blocked",
		all_of(is_above(more_than(least, prompt), held_ns),
		       is_below(more_than(thread, prompt), held_ns),
		       is_below(more_than(event, prompt), held_ns)),
		"while one handler waited {block_ms} in the loop, each of the others waited {least_held_ns} or longer at worst; where a thread waits instead {thread_worst_ns}, where epoll does {event_worst_ns} (medians of the trials)",
		number_int("block_ms", block_ms), number_interval("least_held_ns", least),
		number_interval("thread_worst_ns", thread),
		number_interval("event_worst_ns", event));
	prompt = run_interval(run, PROMPT, "worst_ns");
	event = run_interval(run, EVENT, "worst_ns");
	run_check(
		run, "prompt-holds-up-nobody", is_below(more_than(prompt, event), held_ns),
		"the worst answer took {worst_ns}, and {event_worst_ns} where epoll waits (medians of the trials)",
		number_interval("worst_ns", prompt), number_interval("event_worst_ns", event));
}

static const struct experiment about = {
	.name = "loop",
	.group = "polling",
	.order = 512,
	.summary = "Whom does a handler that waits hold up?",
	.intro =
		"One thread serves three clients; the third one's request needs an answer that takes {block_ms}. The two others ask every 2 ms each. Times are from when a request was due.",
	.claims = claims,
	.controls = controls,
	.opts = opts,
	.variants = variants,
	.fields = fields,
	.bounds = bounds,
	.trials = 7,
	.quick_trials = 7,
	.timed = true,
	.judge = judge,
};

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);

	while (run_next(run))
		measure(run);
	return run_end(run);
}
