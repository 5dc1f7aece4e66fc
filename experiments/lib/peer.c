/* SPDX-License-Identifier: MIT */
/*
 * The halves of an experiment talk over a stream, a pair of sockets or TCP: messages, each led by its
 * length.  On another host a process of its own serves each run that comes, one at a time.
 */
#include "peer.h"

#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "address.h"
#include "check.h"
#include "child.h"
#include "run.h"
#include "span.h"
#include "text.h"

enum { PORT = 65431, PATIENCE_S = 10, HELLO = 1 << 20 /* bytes, at most */ };

struct peer {
	const struct experiment *about;
	int channel;
	bool remote, near;
	atomic_bool closing;             /* by peer_close() */
	struct in_addr here, there;      /* there: of a remote one */
	struct peer *far;                /* the near half's, if it is in this process */
	void (*half)(struct peer *peer); /* of a far one */
	int cpu;                         /* for run_pin(); -1 = any */
	pthread_t thread;
};

static const char *other; /* the other host, for messages; NULL = there is none */

/* --- messages ---------------------------------------------------------------- */

/* The other host's end of the channel has gone: a thread says so, and ends the process. */
static _Noreturn void await_the_end(void)
{
	for (;;)
		pause();
}

static bool read_whole(struct peer *peer, void *bytes, size_t size)
{
	return size == 0 || recv(peer->channel, bytes, size, MSG_WAITALL) == (ssize_t)size;
}

static bool write_whole(struct peer *peer, const void *bytes, size_t size)
{
	const char *at = bytes;

	while (size > 0) {
		ssize_t n = send(peer->channel, at, size, MSG_NOSIGNAL);

		if (n < 0)
			return false;
		at += n;
		size -= (size_t)n;
	}
	return true;
}

void peer_say(struct peer *peer, const void *message, size_t size)
{
	uint64_t length = size;

	if (!write_whole(peer, &length, sizeof(length)) || !write_whole(peer, message, size))
		await_the_end();
}

void peer_hear(struct peer *peer, void *message, size_t size)
{
	uint64_t length;
	bool heard = read_whole(peer, &length, sizeof(length));

	if (heard && length != size)
		errx(EXIT_USAGE, "the other half says %llu bytes where %zu are due",
		     (unsigned long long)length, size);
	if (!heard || !read_whole(peer, message, size))
		await_the_end();
}

int64_t peer_within(int64_t number, int64_t least, int64_t most)
{
	if (number < least || number > most)
		errx(EXIT_USAGE, "the other half says %lld where %lld to %lld are due",
		     (long long)number, (long long)least, (long long)most);
	return number;
}

_Noreturn void peer_failed(const char *call)
{
	int error = errno;

	if (other)
		sleep(PATIENCE_S);
	errno = error;
	err(EXIT_USAGE, "%s", call);
}

/* --- another host: what both ends do ------------------------------------------- */

/* Ends the process when the connection to the other host does. */
static void *watch(void *argument)
{
	struct peer *peer = argument;
	struct pollfd end = {.fd = peer->channel, .events = POLLRDHUP};
	int error = 0;
	socklen_t size = sizeof(error);

	while (poll(&end, 1, -1) < 0)
		;
	if (atomic_load(&peer->closing))
		return NULL;
	if (!peer->near)
		_exit(0); /* the run is over */
	getsockopt(peer->channel, SOL_SOCKET, SO_ERROR, &error, &size);
	errx(EXIT_USAGE, "the peer %s went away%s%s", other, error ? ": " : "",
	     error ? strerror(error) : "");
}

static void start_watch(struct peer *peer)
{
	check(pthread_create(&peer->thread, NULL, watch, peer), "pthread_create");
}

/* The kernel looks after a connection on which nothing is said, and gives up after PATIENCE_S. */
static void keep_alive(int fd)
{
	net_set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	net_set(fd, IPPROTO_TCP, TCP_KEEPIDLE, 3);
	net_set(fd, IPPROTO_TCP, TCP_KEEPINTVL, 1);
	net_set(fd, IPPROTO_TCP, TCP_KEEPCNT, PATIENCE_S - 3);
	net_set(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, PATIENCE_S * 1000);
	net_set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
}

static void say_object(struct peer *peer, json_t *object)
{
	char *text = check_alloc(json_dumps(object, JSON_COMPACT));
	uint64_t length = strlen(text);

	/* if nobody is there to hear it, nothing is heard either */
	if (write_whole(peer, &length, sizeof(length)))
		write_whole(peer, text, length);
	free(text);
	json_decref(object);
}

/* NULL if what comes within PATIENCE_S is no such object. */
static json_t *hear_object(struct peer *peer)
{
	uint64_t length;
	json_t *object = NULL;
	char *text;

	net_set_timeout(peer->channel, SO_RCVTIMEO, PATIENCE_S * 1000);
	if (!read_whole(peer, &length, sizeof(length)) || length > HELLO)
		return NULL;
	text = check_alloc(malloc(length + 1));
	if (read_whole(peer, text, length))
		object = json_loadb(text, length, 0, NULL);
	free(text);
	net_set_timeout(peer->channel, SO_RCVTIMEO, 0);
	if (object && json_is_object(object))
		return object;
	json_decref(object);
	return NULL;
}

/* "HOST" or "HOST:PORT". */
static struct address find(const char *option, const char *text)
{
	struct address found =
		address_parse(option, strchr(text, ':') ? text : text_format("%s:%d", text, PORT));

	if (found.any.sa_family != AF_INET)
		errx(EXIT_USAGE, "%s: '%s' is no address of IPv4", option, text);
	return found;
}

static struct in_addr other_address(int fd)
{
	struct sockaddr_in name = {0};
	socklen_t size = sizeof(name);

	check_fd(getpeername(fd, (struct sockaddr *)&name, &size), "getpeername");
	return name.sin_addr;
}

/* What both hosts must have in common, beside the experiment. */
static const char *const common[] = {"version", "commit", "dirty", "arch"};

static json_t *introduce(const struct experiment *about)
{
	json_t *hello =
		json_pack("{s:s,s:s}", "experiment", about->name, "summary", machine_summary());

	machine_describe(hello);
	return hello;
}

/* --- the near half's host ------------------------------------------------------ */

static int connect_to(const struct address *where)
{
	int64_t deadline_ns = span_now() + PATIENCE_S * INT64_C(1000000000);
	int fd = address_socket(SOCK_STREAM | SOCK_NONBLOCK, where);
	int error = connect(fd, &where->any, where->size) == 0 ? 0 : errno;
	socklen_t size = sizeof(error);

	if (error == EINPROGRESS) {
		error = ETIMEDOUT;
		if (run_wait_fd(fd, POLLOUT, deadline_ns))
			getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
		else if (run_stopped())
			await_the_end(); /* the library's thread ends the process */
	}
	if (error)
		errx(EXIT_USAGE, "--peer: %s: %s", other, strerror(error));
	check_fd(fcntl(fd, F_SETFL, 0), "fcntl");
	return fd;
}

/* A line that somebody says; NULL if it is none. */
static const char *line_of(const json_t *object, const char *key)
{
	const char *line = json_string_value(json_object_get(object, key));
	size_t length = line ? strlen(line) : 0;

	for (size_t i = 0; i < length; i++)
		if (text_control(&line[i], length - i))
			return NULL;
	return line;
}

/* Connects and agrees; what the other host says of itself is for the rows. */
static void meet(struct run *run, struct peer *peer)
{
	struct address where = find("--peer", run->options.peer);
	json_t *hello = introduce(run->about);
	json_t *options = json_object();
	const char *refused;
	json_t *answer;

	other = run->options.peer;
	peer->channel = connect_to(&where);
	peer->here = net_name(peer->channel).sin_addr;
	peer->there = where.v4.sin_addr;
	keep_alive(peer->channel);
	opt_record(options, run->about->opts);
	json_object_set_new(hello, "options", options);
	say_object(peer, hello);
	answer = hear_object(peer);
	refused = line_of(answer, "refused");
	if (refused)
		errx(EXIT_USAGE, "--peer: %s: %s", other, refused);
	if (!line_of(answer, "summary"))
		errx(EXIT_USAGE, "--peer: %s: it does not answer as '%s --serve' does", other,
		     run->about->name);
	run->peer = answer;
	report_peer(run);
	start_watch(peer);
}

struct peer *peer_open(struct run *run)
{
	struct peer *peer = check_alloc(calloc(1, sizeof(*peer)));
	int ends[2];

	peer->about = run->about;
	peer->near = true;
	peer->remote = run->options.peer;
	run->half = peer;
	if (peer->remote) {
		meet(run, peer);
		return peer;
	}
	check_fd(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), "socketpair");
	peer->here = (struct in_addr){htonl(INADDR_LOOPBACK)};
	peer->channel = ends[0];
	peer->far = check_alloc(calloc(1, sizeof(*peer)));
	peer->far->channel = ends[1];
	peer->far->here = peer->here;
	return peer;
}

void peer_close(struct peer *peer)
{
	if (peer->remote) {
		atomic_store(&peer->closing, true);
		shutdown(peer->channel, SHUT_RDWR);
		check(pthread_join(peer->thread, NULL), "pthread_join");
	} else {
		close(peer->far->channel);
		free(peer->far);
	}
	close(peer->channel);
	free(peer);
}

bool peer_remote(const struct peer *peer)
{
	return peer->remote;
}

struct in_addr peer_here(const struct peer *peer)
{
	return peer->here;
}

/* --- a half over there --------------------------------------------------------- */

static void *work(void *argument)
{
	struct peer *peer = argument;

	run_pin(peer->cpu);
	peer->half(peer);
	return NULL;
}

static int64_t number_of(const struct experiment *about, void (*half)(struct peer *peer))
{
	int64_t number = 0;

	while (about->halves[number] && about->halves[number] != half)
		number++;
	if (!about->halves[number])
		errx(EXIT_USAGE, "a half that %s does not declare", about->name);
	return number;
}

void peer_begin(struct peer *peer, void (*half)(struct peer *peer), enum team_place place)
{
	int64_t number = number_of(peer->about, half);

	if (place != TEAM_FREE)
		run_pin(0);
	if (peer->remote) {
		peer_say(peer, &number, sizeof(number));
		return;
	}
	peer->far->half = half;
	peer->far->cpu = place == TEAM_FREE ? -1 : place == TEAM_SPREAD;
	check(pthread_create(&peer->far->thread, NULL, work, peer->far), "pthread_create");
}

void peer_end(struct peer *peer)
{
	if (peer->remote)
		peer_hear(peer, NULL, 0);
	else
		check(pthread_join(peer->far->thread, NULL), "pthread_join");
	stop_progress(); /* to a far host a trial of many takes long */
	run_pin(-1);
}

/* --- pairs ----------------------------------------------------------------- */

struct wish {
	int64_t kind, rcvbuf; /* of the far half's socket */
};

static int type_of(int64_t kind)
{
	return kind == NET_TCP ? SOCK_STREAM : SOCK_DGRAM;
}

static struct net_pair connect_far(struct peer *peer, enum net_kind kind, struct net_ask ask)
{
	struct sockaddr_in where = {.sin_family = AF_INET, .sin_addr = peer->there};
	struct net_pair pair = {.rx = -1};
	struct wish wish = {kind, ask.rcvbuf};
	int64_t port;

	if (kind != NET_TCP && kind != NET_UDP)
		errx(EXIT_USAGE, "between two hosts there are TCP and UDP");
	peer_say(peer, &wish, sizeof(wish));
	peer_hear(peer, &port, sizeof(port));
	where.sin_port = (in_port_t)port;
	pair.tx = net_socket(type_of(kind));
	net_prepare(pair.tx, (struct net_ask){.sndbuf = ask.sndbuf, .congestion = ask.congestion});
	if (connect(pair.tx, (struct sockaddr *)&where, sizeof(where)) != 0)
		peer_failed("connect");
	return pair;
}

struct net_pair peer_connect(struct peer *peer, struct link *cable, enum net_kind kind,
			     struct net_ask ask)
{
	struct net_pair pair;
	int64_t fd;

	if (peer->remote)
		return connect_far(peer, kind, ask);
	pair = cable ? link_pair(cable, kind, ask) : net_pair(kind, ask);
	fd = check_fd(dup(pair.rx), "dup");
	peer_say(peer, &fd, sizeof(fd));
	return pair;
}

int peer_take(const struct peer *peer, int listener)
{
	for (;;) {
		int fd = net_accept(listener);

		if (!peer->remote || other_address(fd).s_addr == peer->there.s_addr)
			return fd;
		close(fd);
	}
}

int peer_accept(struct peer *peer)
{
	struct sockaddr_in where;
	struct wish wish;
	int64_t fd, port;
	int rx;

	if (!peer->remote) {
		peer_hear(peer, &fd, sizeof(fd));
		return (int)fd;
	}
	peer_hear(peer, &wish, sizeof(wish));
	rx = net_socket(type_of(wish.kind));
	net_prepare(rx, (struct net_ask){.rcvbuf = wish.rcvbuf});
	net_bind(rx, peer->here, &where);
	if (wish.kind == NET_TCP)
		check_fd(listen(rx, 1), "listen");
	port = where.sin_port;
	peer_say(peer, &port, sizeof(port));
	if (wish.kind != NET_TCP)
		return rx;
	fd = peer_take(peer, rx);
	close(rx);
	return (int)fd;
}

/* --- the far half's host ------------------------------------------------------- */

/* NULL, or why a run cannot be served. */
static const char *objection(const struct experiment *about, const json_t *hello)
{
	json_t *own = introduce(about);
	const json_t *asked = json_object_get(hello, "experiment");
	const char *name = json_string_value(asked);
	const char *wrong = NULL;

	if (!name || strcmp(name, about->name) != 0)
		wrong = text_format("it serves %s", about->name);
	for (size_t i = 0; !wrong && i < sizeof(common) / sizeof(common[0]); i++)
		if (!json_equal(json_object_get(own, common[i]), json_object_get(hello, common[i])))
			wrong = text_format("its %s is not the same: it is %s", common[i],
					    machine_version());
	if (!wrong)
		wrong = opt_restore(json_object_get(hello, "options"), about->opts);
	json_decref(own);
	return wrong;
}

/*
 * Whether it is this process's turn, until it ends: the lock is of one process.  The one before may be about
 * to end.
 */
static bool take_turn(int turn)
{
	struct flock all = {.l_type = F_WRLCK};
	int64_t deadline_ns = span_now() + 1000000000;

	while (fcntl(turn, F_SETLK, &all) != 0)
		if (span_now() > deadline_ns || !run_sleep_until(span_now() + 10000000))
			return false;
	return true;
}

/* One run, in a process of its own, until the near half's host closes the channel. */
static _Noreturn void serve_run(struct run *run, int channel, int turn)
{
	struct peer peer = {.about = run->about, .channel = channel, .remote = true};
	json_t *hello; /* stays: option variables point into it */
	const char *wrong;
	int64_t number, most = 0;

	while (run->about->halves[most])
		most++;
	keep_alive(channel);
	peer.here = net_name(channel).sin_addr;
	peer.there = other_address(channel);
	hello = hear_object(&peer);
	wrong = hello ? objection(run->about, hello) : "that was no greeting";
	if (!wrong && !take_turn(turn))
		wrong = "it serves another run just now";
	if (wrong) {
		say_object(&peer, json_pack("{s:s}", "refused", wrong));
		_exit(0);
	}
	say_object(&peer, introduce(run->about));
	other = "of that run";
	start_watch(&peer);
	for (;;) {
		peer_hear(&peer, &number, sizeof(number));
		run->about->halves[peer_within(number, 0, most - 1)](&peer);
		peer_say(&peer, NULL, 0);
	}
}

_Noreturn void peer_serve(struct run *run)
{
	struct address where = find("--serve", run->options.serve);
	int listener = address_socket(SOCK_STREAM, &where);
	int turn = check_fd(memfd_create("turn", MFD_CLOEXEC), "memfd_create");
	char text[ADDRESS_TEXT];

	net_set(listener, SOL_SOCKET, SO_REUSEADDR, 1); /* runs that have ended do not hinder */
	check_fd(bind(listener, &where.any, where.size), "bind");
	check_fd(listen(listener, 16), "listen");
	where = address_of(listener);
	printf("%s: serving on %s\n", run->about->name, address_text(&where, text));
	if (fflush(stdout) != 0)
		err(EXIT_USAGE, "standard output");
	signal(SIGPIPE, SIG_IGN);
	cpus_choose(run->options.cpus);
	signal(SIGCHLD, SIG_IGN); /* nobody waits for those that have ended */
	for (;;) {
		int channel = net_accept(listener);

		if (child_fork() == 0) {
			close(listener);
			serve_run(run, channel, turn);
		}
		close(channel);
	}
}
