/* SPDX-License-Identifier: MIT */
#include "load_barrier.h"

#include <err.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "exp.h"
#include "span.h"
#include "text.h"

enum { ROUNDS = 3 };

static const char *const rounds[ROUNDS] = {"came", "warmed up", "began"};

/* --- what generators have in common ------------------------------------------ */

json_t *load_common(const json_t *run)
{
	static const char *const of_run[] = {"schema", "version", "commit", NULL};
	static const char *const of_params[] = {"host",        "port",  "size",     "text",
						"pipeline",    "churn", "arrivals", "warmup_ms",
						"duration_ms", NULL};
	const json_t *params = json_object_get(run, "params");
	json_t *common = json_object();

	for (int i = 0; of_run[i]; i++)
		json_object_set(common, of_run[i], json_object_get(run, of_run[i]));
	for (int i = 0; of_params[i]; i++)
		json_object_set(common, of_params[i], json_object_get(params, of_params[i]));
	json_object_set_new(common, "open_loop",
			    json_boolean(json_integer_value(json_object_get(params, "rate")) > 0));
	return common;
}

/* As JSON in ASCII, or "absent"; shortened. */
static const char *value_text(const json_t *value)
{
	char *text = value ? json_dumps(value, JSON_ENCODE_ANY | JSON_ENSURE_ASCII | JSON_COMPACT)
			   : NULL;
	const char *shown = text_format("%.80s", text ? text : "absent");

	free(text);
	return shown;
}

static const char *first_difference(const json_t *one, const json_t *other, bool swapped)
{
	const char *key;
	const json_t *value;

	json_object_foreach((json_t *)one, key, value)
	{
		const json_t *second = json_object_get(other, key);

		if (!json_equal(value, second))
			return text_format("%.40s is %s and %s", key,
					   value_text(swapped ? second : value),
					   value_text(swapped ? value : second));
	}
	return NULL;
}

const char *load_difference(const json_t *one, const json_t *other)
{
	const char *found = first_difference(one, other, false);

	return found ? found : first_difference(other, one, true);
}

/* --- lines of JSON ----------------------------------------------------------- */

/* That the peer has ended is noticed by the next read. */
static void send_line(int fd, const json_t *object)
{
	char *text = check_alloc(json_dumps(object, JSON_COMPACT));
	char *line;
	int length = asprintf(&line, "%s\n", text);

	if (length < 0)
		err(EXIT_USAGE, "no memory");
	send(fd, line, (size_t)length, MSG_NOSIGNAL);
	free(line);
	free(text);
}

/*
 * Reads into a line what there is.  0: it is whole, and *object what it holds, NULL for no object; EAGAIN: not
 * yet; ECONNRESET: the peer has ended.
 */
static int read_line(int fd, char line[BARRIER_LINE], size_t *length, json_t **object)
{
	ssize_t n = recv(fd, line + *length, BARRIER_LINE - *length, MSG_DONTWAIT);
	const char *end;

	*object = NULL;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return EAGAIN;
	if (n <= 0)
		return ECONNRESET;
	*length += (size_t)n;
	end = memchr(line, '\n', *length);
	if (!end && *length < BARRIER_LINE)
		return EAGAIN;
	if (end && end == line + *length - 1) /* nobody sends more before the answer */
		*object = json_loadb(line, *length, JSON_REJECT_DUPLICATES, NULL);
	*length = 0;
	return 0;
}

/* --- a generator ------------------------------------------------------------- */

int barrier_connect(struct barrier *barrier, const struct address *where, int64_t wait_ms)
{
	const struct timeval limit = {.tv_sec = wait_ms / 1000 + 1};

	barrier->length = 0;
	barrier->fd = address_socket(SOCK_STREAM, where);
	setsockopt(barrier->fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	if (connect(barrier->fd, &where->any, where->size) != 0) {
		int error = errno == EINPROGRESS ? ETIMEDOUT : errno;

		close(barrier->fd);
		barrier->fd = -1;
		return error;
	}
	return 0;
}

void barrier_arrive(const struct barrier *barrier, const json_t *common)
{
	send_line(barrier->fd, common);
}

int barrier_read(struct barrier *barrier, struct barrier_answer *answer)
{
	json_t *object;
	json_int_t generator = -1;
	json_int_t generators = 0;
	json_int_t since = -1;
	const char *id = "";
	int error = read_line(barrier->fd, barrier->line, &barrier->length, &object);

	if (error)
		return error;
	if (json_unpack(object, "{s:s,s:I,s:I,s:I}", "barrier", &id, "generator", &generator,
			"generators", &generators, "since_ns", &since) != 0 ||
	    strlen(id) >= sizeof(answer->id) || generator < 0 || generator >= generators ||
	    generators > BARRIER_GENERATORS || since < 0)
		error = EBADMSG;
	else
		*answer = (struct barrier_answer){
			.generator = generator, .generators = generators, .since_ns = since};
	if (!error)
		memcpy(answer->id, id, strlen(id));
	json_decref(object);
	return error;
}

/* --- the server -------------------------------------------------------------- */

struct party {
	int fd;         /* -1 = none */
	json_t *common; /* NULL = it has not come yet */
	bool arrived;   /* in this round */
	size_t length;
	char line[BARRIER_LINE];
};

struct server {
	int listener;
	int64_t n, wait_ms, warmup_ms;
	int round;
	char id[24];
	struct party *parties;
};

static int64_t count_arrived(const struct server *server)
{
	int64_t arrived = 0;

	for (int64_t i = 0; i < server->n; i++)
		arrived += server->parties[i].arrived;
	return arrived;
}

/* It may come again, or was no generator; but the others have begun to count on it after the first round. */
static void drop(struct server *server, struct party *party)
{
	if (server->round > 0)
		errx(EXIT_USAGE, "a generator left before all %s", rounds[server->round]);
	close(party->fd);
	json_decref(party->common);
	memset(party, 0, sizeof(*party));
	party->fd = -1;
}

static void check_common(const struct server *server, const json_t *common)
{
	for (int64_t i = 0; i < server->n; i++) {
		const json_t *other = server->parties[i].common;
		const char *difference = other ? load_difference(other, common) : NULL;

		if (difference)
			errx(EXIT_USAGE, "the generators differ: %s", difference);
	}
}

static bool is_generator(const json_t *common)
{
	const json_t *warmup = json_object_get(common, "warmup_ms");

	return json_is_string(json_object_get(common, "version")) && json_is_integer(warmup) &&
	       json_integer_value(warmup) >= 0 && json_integer_value(warmup) <= LOAD_WARMUP_MS;
}

static void read_party(struct server *server, struct party *party)
{
	json_t *object;
	int error = read_line(party->fd, party->line, &party->length, &object);

	if (error == EAGAIN)
		return;
	if (error || party->arrived || !is_generator(object)) {
		json_decref(object);
		drop(server, party);
		return;
	}
	check_common(server, object);
	json_decref(party->common);
	party->common = object;
	party->arrived = true;
}

static void accept_party(struct server *server, struct party *party)
{
	struct address from = address_empty();

	party->fd = accept4(server->listener, &from.any, &from.size, SOCK_CLOEXEC);
}

static void await_all(struct server *server, struct pollfd *polled, int64_t deadline_ns)
{
	while (count_arrived(server) < server->n) {
		int64_t left = deadline_ns - span_now();
		struct party *room = NULL;

		if (left <= 0)
			errx(EXIT_USAGE, "%s of %s generators %s within %s",
			     text_count(count_arrived(server)), text_count(server->n),
			     rounds[server->round], text_time((double)server->wait_ms * 1e6));
		for (int64_t i = 0; i < server->n; i++) {
			polled[i] = (struct pollfd){.fd = server->parties[i].fd, .events = POLLIN};
			if (server->parties[i].fd < 0)
				room = &server->parties[i];
		}
		polled[server->n] =
			(struct pollfd){.fd = room ? server->listener : -1, .events = POLLIN};
		if (poll(polled, (nfds_t)server->n + 1, (int)(left / 1000000 + 1)) < 0 &&
		    errno != EINTR)
			err(EXIT_USAGE, "poll");
		for (int64_t i = 0; i < server->n; i++)
			if (polled[i].revents)
				read_party(server, &server->parties[i]);
		if (room && polled[server->n].revents)
			accept_party(server, room);
	}
}

static void answer_all(struct server *server, int64_t since_ns)
{
	for (int64_t i = 0; i < server->n; i++) {
		json_t *answer = json_pack("{s:s,s:I,s:I,s:I}", "barrier", server->id, "generator",
					   (json_int_t)i, "generators", (json_int_t)server->n,
					   "since_ns", (json_int_t)since_ns);

		server->parties[i].arrived = false;
		send_line(server->parties[i].fd, answer);
		json_decref(answer);
	}
}

static void listen_at(struct server *server, const struct address *where)
{
	const int on = 1;
	struct address bound;
	char text[ADDRESS_TEXT];

	server->listener = address_socket(SOCK_STREAM, where);
	setsockopt(server->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(server->listener, &where->any, where->size) != 0 ||
	    listen(server->listener, BARRIER_GENERATORS) != 0)
		err(EXIT_USAGE, "--barrier: %s", address_text(where, text));
	bound = address_of(server->listener);
	printf("barrier for %s generators at %s\n", text_count(server->n),
	       address_text(&bound, text));
	if (fflush(stdout) != 0)
		err(EXIT_USAGE, "standard output");
}

void barrier_serve(const struct address *where, int64_t generators, int64_t wait_ms)
{
	struct server server = {.n = generators, .wait_ms = wait_ms};
	struct pollfd *polled = check_alloc(calloc((size_t)generators + 1, sizeof(*polled)));
	int64_t answered_ns = span_now();
	int64_t since_ns = 0;
	uint64_t number;

	server.parties = check_alloc(calloc((size_t)generators, sizeof(*server.parties)));
	for (int64_t i = 0; i < generators; i++)
		server.parties[i].fd = -1;
	if (getrandom(&number, sizeof(number), 0) != sizeof(number))
		err(EXIT_USAGE, "getrandom");
	snprintf(server.id, sizeof(server.id), "%016llx", (unsigned long long)number);
	listen_at(&server, where);
	for (; server.round < ROUNDS; server.round++) {
		/* they warm up before the second one */
		int64_t busy_ms = server.round ? server.warmup_ms : 0;

		await_all(&server, polled, answered_ns + (wait_ms + busy_ms) * 1000000);
		since_ns = span_now() - answered_ns;
		server.warmup_ms =
			json_integer_value(json_object_get(server.parties[0].common, "warmup_ms"));
		answered_ns = span_now();
		answer_all(&server, since_ns);
	}
	printf("%s generators began within %s\n", text_count(generators),
	       text_time((double)since_ns));
	for (int64_t i = 0; i < generators; i++) {
		close(server.parties[i].fd);
		json_decref(server.parties[i].common);
	}
	close(server.listener);
	free(server.parties);
	free(polled);
}
