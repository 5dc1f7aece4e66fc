/* SPDX-License-Identifier: MIT */
#include "conn.h"

#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "span.h"

enum {
	READ_SIZE = 64 << 10,      /* the most of one read, and so the most that waits for a peer */
	LINE_MAX_BYTES = 64 << 10, /* of a line to reverse */
	TURNS = 8,                 /* full reads before the others get a chance */
	GRACE_S = 10,              /* for the model, after that: it should need none */
	DRAIN_MS = 1000,           /* for peers that do not read, when the server stops */
	LISTENERS = 256,           /* sockets of SO_REUSEPORT */
	TABLE_MAX = 1 << 22,       /* connections, whatever the limit on descriptors says */
};

/* Bytes that wait. */
struct rest {
	uint32_t length, at;
	char bytes[];
};

static struct conn_rules rules;

/* The table of connections; a place that was never used costs no memory. */
static struct conn *table;
static size_t places;

static pthread_mutex_t registry = PTHREAD_MUTEX_INITIALIZER; /* who is open, and the end */
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;    /* registry: others, or the end */
static int64_t opened;           /* now, and processes; under registry, as what follows */
static int highest;              /* the highest place ever used */
static int listening[LISTENERS]; /* what is shut at the end */
static int listeners;
static pid_t *children; /* processes forked that have not ended yet */
static size_t children_n, children_room;
static bool told; /* to end: by conn_stop() */
static atomic_bool stopping;
static bool forked; /* this process is such a child */

static pthread_mutex_t sparing = PTHREAD_MUTEX_INITIALIZER;
static int spare = -1; /* a descriptor to give up when there are no more; under sparing */

/*
 * A thread's bytes just received, and what it made of them.  On the heap: glibc clears thread-local
 * arrays when a thread starts, and so pays for every page of them.
 */
struct bytes {
	char received[READ_SIZE];
	char made[READ_SIZE + LINE_MAX_BYTES];
};

static _Thread_local struct bytes *own;
static pthread_key_t freed; /* at the end of its thread */

static struct bytes *bytes_of_thread(void)
{
	if (!own) {
		own = malloc(sizeof(*own));
		if (!own)
			err(2, "malloc");
		check(pthread_setspecific(freed, own), "pthread_setspecific");
	}
	return own;
}

/* --- waiting bytes ----------------------------------------------------------- */

/* Appends; *rest NULL at first. */
static void keep(struct rest **rest, const char *bytes, size_t length)
{
	uint32_t before = *rest ? (*rest)->length : 0;
	struct rest *grown = realloc(*rest, sizeof(**rest) + before + length);

	if (!grown)
		err(2, "realloc");
	if (!*rest)
		grown->at = 0;
	grown->length = before + (uint32_t)length;
	memcpy(grown->bytes + before, bytes, length);
	*rest = grown;
}

static void drop(struct rest **rest)
{
	free(*rest);
	*rest = NULL;
}

/* --- the log ----------------------------------------------------------------- */

/* "127.0.0.1:54321" */
static const char *peer_of(const struct conn *conn, char text[64])
{
	struct sockaddr_in address = {0};
	socklen_t size = sizeof(address);
	char ip[INET_ADDRSTRLEN] = "?";

	if (getpeername(conn->fd, (struct sockaddr *)&address, &size) == 0)
		inet_ntop(AF_INET, &address.sin_addr, ip, sizeof(ip));
	snprintf(text, 64, "%s:%d", ip, ntohs(address.sin_port));
	return text;
}

static void log_received(const struct conn *conn, const char *bytes, size_t length)
{
	char peer[64];
	char shown[80];
	size_t n = 0;

	for (size_t i = 0; i < length && n + 1 < sizeof(shown); i++)
		if (bytes[i] != '\n' && bytes[i] != '\r')
			shown[n++] = (char)((unsigned char)bytes[i] < ' ' ? '.' : bytes[i]);
	shown[n] = 0;
	printf("%s: Received %zu bytes: %s\n", peer_of(conn, peer), length, shown);
}

static void log_event(const struct conn *conn, const char *format)
{
	char peer[64];

	if (rules.verbose)
		printf(format,
		       peer_of(conn, peer)); /* NOLINT(clang-diagnostic-format-nonliteral) */
}

/* --- what is answered -------------------------------------------------------- */

/* The bytes of a line backwards, but those of a code point forwards. */
static void reverse_line(const char *line, size_t length, char *out)
{
	for (size_t end = length; end > 0;) {
		size_t begin = end - 1;

		while (begin > 0 && ((unsigned char)line[begin] & 0xc0) == 0x80 && end - begin < 4)
			begin--;
		memcpy(out, line + begin, end - begin);
		out += end - begin;
		end = begin;
	}
}

/* Reverses the line that is kept, if any, and these bytes after it; returns what it wrote. */
static size_t reverse_all(struct conn *conn, const char *bytes, size_t length, char *out)
{
	bool cr = length > 0 && bytes[length - 1] == '\r';

	if (!conn->line) {
		reverse_line(bytes, length - cr, out);
	} else {
		keep(&conn->line, bytes, length);
		cr = conn->line->length > 0 && conn->line->bytes[conn->line->length - 1] == '\r';
		length = conn->line->length;
		reverse_line(conn->line->bytes, length - cr, out);
		drop(&conn->line);
	}
	if (cr)
		out[length - 1] = '\r';
	return length;
}

static struct conn_answer too_long(void)
{
	static const char message[] = "error: a line is longer than 65,536 bytes\n";

	return (struct conn_answer){message, sizeof(message) - 1, true};
}

/* Every line that is complete, reversed; the rest is kept until its newline comes. */
static struct conn_answer reversed(struct conn *conn, const char *bytes, size_t length)
{
	char *made = bytes_of_thread()->made;
	struct conn_answer answer = {made, 0, length == 0};
	const char *end = bytes + length;

	if (length == 0 && conn->line) /* the last line lacks its newline */
		answer.length = reverse_all(conn, bytes, 0, made);
	while (bytes < end) {
		const char *newline = memchr(bytes, '\n', (size_t)(end - bytes));
		size_t part = (size_t)((newline ? newline : end) - bytes);

		if ((conn->line ? conn->line->length : 0) + part > LINE_MAX_BYTES)
			return too_long();
		if (!newline) {
			keep(&conn->line, bytes, part);
			break;
		}
		answer.length += reverse_all(conn, bytes, part, made + answer.length);
		made[answer.length++] = '\n';
		bytes = newline + 1;
	}
	return answer;
}

static uint32_t now_ms(void)
{
	return (uint32_t)(clock_ns(CLOCK_MONOTONIC_COARSE) / 1000000);
}

/* It did something. */
static void touch(struct conn *conn)
{
	if (rules.idle_ms)
		atomic_store_explicit(&conn->seen_ms, now_ms(), memory_order_relaxed);
}

struct conn_answer conn_answer(struct conn *conn, const char *bytes, size_t length)
{
	touch(conn);
	if (rules.verbose && length)
		log_received(conn, bytes, length);
	if (rules.reverse)
		return reversed(conn, bytes, length);
	return (struct conn_answer){bytes, length, length == 0};
}

const char *conn_hold(struct conn *conn, struct conn_answer answer)
{
	keep(&conn->unsent, answer.bytes, answer.length);
	return conn->unsent->bytes;
}

void conn_let_go(struct conn *conn)
{
	drop(&conn->unsent);
}

/* --- a step ------------------------------------------------------------------ */

/* Sends; what the peer does not take now is kept.  False if the connection is broken. */
static bool send_or_keep(struct conn *conn, const char *bytes, size_t length)
{
	while (length > 0) {
		ssize_t n = send(conn->fd, bytes, length, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN)
			return false;
		if (n < 0) {
			keep(&conn->unsent, bytes, length);
			return true;
		}
		bytes += n;
		length -= (size_t)n;
	}
	return true;
}

/* Sends what waits; true when nothing does any more. */
static bool flush(struct conn *conn, bool *broken)
{
	struct rest *rest = conn->unsent;

	while (rest && rest->at < rest->length) {
		ssize_t n = send(conn->fd, rest->bytes + rest->at, rest->length - rest->at,
				 MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			*broken = errno != EAGAIN;
			return false;
		}
		touch(conn);
		rest->at += (uint32_t)n;
	}
	drop(&conn->unsent);
	return true;
}

/* Answers; false if the connection is broken. */
static bool answer(struct conn *conn, const char *bytes, size_t length)
{
	struct conn_answer answer = conn_answer(conn, bytes, length);

	conn->ended = answer.last;
	return send_or_keep(conn, answer.bytes, answer.length);
}

enum conn_want conn_step(struct conn *conn)
{
	char *received = bytes_of_thread()->received;
	bool broken = false;

	for (int turn = 0; turn < TURNS; turn++) {
		ssize_t n;

		if (conn->unsent && !flush(conn, &broken))
			return broken ? CONN_CLOSE : CONN_WRITE;
		if (conn->ended)
			return CONN_CLOSE;
		n = recv(conn->fd, received, READ_SIZE, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? CONN_READ : CONN_CLOSE;
		if (!answer(conn, received, (size_t)n))
			return CONN_CLOSE;
		if (n > 0 && n < READ_SIZE && !conn->unsent && !conn->ended)
			return CONN_READ; /* it took all there was */
	}
	if (conn->unsent)
		return CONN_WRITE;
	return conn->ended ? CONN_CLOSE : CONN_MORE;
}

/* --- who is open ------------------------------------------------------------- */

struct conn *conn_of(int fd)
{
	return &table[fd];
}

void conn_listens(int listener)
{
	pthread_mutex_lock(&registry);
	if (listeners < LISTENERS)
		listening[listeners++] = listener;
	pthread_mutex_unlock(&registry);
}

/* Nobody comes in any more: accept fails, and a listener reads as ready.  Under registry. */
static void stop_accepting(void)
{
	atomic_store(&stopping, true);
	for (int i = 0; i < listeners; i++)
		shutdown(listening[i], SHUT_RD);
	pthread_cond_broadcast(&changed);
}

/* Enters the connection in the table; false if it is one too many. */
static bool enter(int fd)
{
	struct conn *conn = conn_of(fd);
	bool room;

	pthread_mutex_lock(&registry);
	room = (size_t)fd < places && !atomic_load(&stopping) &&
	       (!rules.max_connections || opened < rules.max_connections);
	if (room) {
		*conn = (struct conn){.fd = fd, .watched = CONN_READ, .seen_ms = now_ms()};
		opened++;
		highest = fd > highest ? fd : highest;
		if (rules.once)
			stop_accepting();
	}
	pthread_mutex_unlock(&registry);
	return room;
}

/* A connection accepted is to be served; false if it was dealt with at once. */
static bool admitted(int fd)
{
	const int on = 1;

	if (!enter(fd)) {
		close(fd);
		return false;
	}
	log_event(conn_of(fd), "Connected by %s\n");
	if (rules.greeting) { /* it fits into any send buffer */
		send(fd, rules.greeting, strlen(rules.greeting), MSG_NOSIGNAL | MSG_DONTWAIT);
		conn_close(conn_of(fd));
		return false;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* an answer waits for no ACK */
	return true;
}

static bool exhausted(int error)
{
	return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

static void warn_once(void)
{
	static atomic_bool warned;
	struct rlimit limit = {0};

	getrlimit(RLIMIT_NOFILE, &limit);
	if (!atomic_exchange(&warned, true))
		warnx("out of descriptors (limit %ju): clients are turned away",
		      (uintmax_t)limit.rlim_cur);
}

/*
 * With no descriptor left, accept(2) fails whether somebody waits or not.  So the spare one is
 * given up for who comes next: served if there is one again by then, or else turned away.
 */
static int accept_by_spare(int listener, int flags)
{
	int error;
	int fd;

	pthread_mutex_lock(&sparing); /* where accept blocks, one thread waits and others for it */
	if (spare >= 0)
		close(spare);
	fd = accept4(listener, NULL, NULL, flags | SOCK_CLOEXEC);
	error = errno;
	spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (fd >= 0 && spare < 0) {
		close(fd);
		fd = -1;
		error = ECONNABORTED;
		spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
		warn_once();
	}
	pthread_mutex_unlock(&sparing);
	errno = error;
	return fd;
}

struct conn *conn_accept(int listener, int flags)
{
	const struct timespec moment = {0, 10000000};

	while (!atomic_load(&stopping)) {
		int fd = accept4(listener, NULL, NULL, flags | SOCK_CLOEXEC);

		if (fd < 0 && exhausted(errno))
			fd = accept_by_spare(listener, flags);
		if (fd >= 0 && admitted(fd))
			return conn_of(fd);
		if (fd >= 0)
			continue;
		if (errno == EINVAL)
			break; /* it is shut, here or by another process */
		if (exhausted(errno)) {
			nanosleep(&moment, NULL); /* others have all there is */
			errno = EAGAIN;
		}
		if (errno == EAGAIN)
			return NULL;
		/* else it broke before it was accepted: accept(2) */
	}
	errno = ESHUTDOWN;
	return NULL;
}

/* Takes it from the table.  Nobody may shut down what has its number next, so it is closed here. */
static void leave(struct conn *conn, bool closing)
{
	drop(&conn->unsent);
	drop(&conn->line);
	pthread_mutex_lock(&registry);
	if (closing)
		close(conn->fd);
	conn->fd = -1;
	if (--opened == 0)
		pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&registry);
}

void conn_close(struct conn *conn)
{
	log_event(conn, "%s closed\n");
	leave(conn, true);
}

void conn_forget(struct conn *conn)
{
	log_event(conn, "%s closed\n");
	leave(conn, false);
}

int64_t conn_count(void)
{
	int64_t count;

	pthread_mutex_lock(&registry);
	count = opened;
	pthread_mutex_unlock(&registry);
	return count;
}

void conn_await_all(void)
{
	pthread_mutex_lock(&registry);
	while (opened > 0)
		pthread_cond_wait(&changed, &registry);
	pthread_mutex_unlock(&registry);
}

/* --- the end ----------------------------------------------------------------- */

bool conn_stopping(void)
{
	return atomic_load(&stopping);
}

/* It may have been seen after `now`. */
static bool silent_for(const struct conn *conn, uint32_t now, int64_t silent_ms)
{
	return silent_ms == 0 || (int32_t)(now - atomic_load(&conn->seen_ms)) >= silent_ms;
}

/* Shuts every connection down that has been silent for `silent_ms`. */
static void shut_all(int how, int64_t silent_ms)
{
	uint32_t now = now_ms();

	pthread_mutex_lock(&registry);
	for (int fd = STDERR_FILENO + 1; fd <= highest; fd++)
		if (table[fd].fd == fd && silent_for(&table[fd], now, silent_ms))
			shutdown(fd, how);
	pthread_mutex_unlock(&registry);
}

void conn_stop(void)
{
	pthread_mutex_lock(&registry);
	if (forked)
		listeners = 0; /* they are the parent's, and the other children's */
	stop_accepting();
	told = true;
	for (size_t i = 0; i < children_n; i++)
		kill(children[i], SIGTERM);
	pthread_mutex_unlock(&registry);
	shut_all(SHUT_RD, 0);
}

/* Waits for the signals, and meanwhile ends what is idle. */
static void *keep_house(void *argument)
{
	const struct timespec often = {0, 100000000};
	sigset_t signals;

	(void)argument;
	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	while (sigtimedwait(&signals, NULL, rules.idle_ms ? &often : NULL) < 0)
		if (rules.idle_ms)
			shut_all(SHUT_RDWR, rules.idle_ms);
	conn_stop();
	if (forked && conn_count() == 0)
		_exit(0); /* it waits for a listener that others go on with */
	usleep(DRAIN_MS * 1000);
	shut_all(SHUT_RDWR, 0); /* they had their time */
	sleep(GRACE_S);
	warnx("%lld connections did not end", (long long)conn_count());
	_exit(2);
}

static void start_house(void)
{
	pthread_attr_t attributes;
	pthread_t thread;

	check(pthread_attr_init(&attributes), "pthread_attr_init");
	check(pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED), "detached");
	check(pthread_create(&thread, &attributes, keep_house, NULL), "pthread_create");
	pthread_attr_destroy(&attributes);
}

void conn_begin(const struct conn_rules *all)
{
	struct rlimit limit = {0};

	rules = *all;
	check(pthread_key_create(&freed, free), "pthread_key_create");
	check_fd(getrlimit(RLIMIT_NOFILE, &limit), "getrlimit");
	places = limit.rlim_cur < TABLE_MAX ? limit.rlim_cur : TABLE_MAX;
	table = mmap(NULL, places * sizeof(*table), PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (table == MAP_FAILED)
		err(2, "mmap");
	spare = check_fd(open("/dev/null", O_RDONLY | O_CLOEXEC), "/dev/null");
	start_house();
}

/* --- processes --------------------------------------------------------------- */

/* The registry is as it was in the parent's thread that holds it, which is the only one here. */
static void become_child(struct conn *mine, pid_t parent)
{
	forked = true;
	children_n = 0;
	opened = mine ? 1 : 0;
	for (int fd = 0; fd <= highest; fd++)
		if (!mine || fd != mine->fd)
			table[fd].fd = -1;
	for (; mine && listeners > 0; listeners--)
		close(listening[listeners - 1]);
	pthread_cond_init(&changed, NULL);
	pthread_mutex_unlock(&registry);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		kill(getpid(), SIGTERM); /* it died before the line above */
	start_house();
}

/* Room for one more child; false if there is no memory. */
static bool children_grow(void)
{
	size_t room = children_room ? 2 * children_room : 64;
	pid_t *grown;

	if (children_n < children_room)
		return true;
	grown = realloc(children, room * sizeof(*children));
	if (!grown)
		return false;
	children = grown;
	children_room = room;
	return true;
}

pid_t conn_fork(struct conn *mine)
{
	pid_t parent = getpid();
	pid_t child;

	pthread_mutex_lock(&registry); /* conn_stop() finds either the connection or the child */
	child = children_grow() ? fork() : -1;
	if (child == 0) {
		become_child(mine, parent);
		return 0;
	}
	if (child > 0) {
		children[children_n++] = child;
		opened += mine ? 0 : 1;
		if (told)
			kill(child, SIGTERM);
		pthread_cond_broadcast(&changed);
	}
	if (child > 0 && mine) {
		close(mine->fd);
		mine->fd = -1;
	}
	pthread_mutex_unlock(&registry);
	return child;
}

/* Under registry, so that nobody sends a signal to its number any more. */
static void bury(pid_t child)
{
	size_t i = 0;

	while (i < children_n && children[i] != child)
		i++;
	if (i == children_n)
		return;
	waitpid(child, NULL, 0);
	children[i] = children[--children_n];
	opened--;
	pthread_cond_broadcast(&changed);
}

bool conn_reap(void)
{
	siginfo_t ended = {0};
	bool any;

	pthread_mutex_lock(&registry);
	while (children_n == 0 && (opened > 0 || !atomic_load(&stopping)))
		pthread_cond_wait(&changed, &registry);
	any = children_n > 0;
	pthread_mutex_unlock(&registry);
	if (any && waitid(P_ALL, 0, &ended, WEXITED | WNOWAIT) == 0) {
		pthread_mutex_lock(&registry);
		bury(ended.si_pid);
		pthread_mutex_unlock(&registry);
	}
	return any;
}
