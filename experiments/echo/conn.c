/* SPDX-License-Identifier: MIT */
#include "conn.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "answer.h"
#include "check.h"
#include "net.h"
#include "tcpinfo.h"

enum {
	GRACE_S = 10,        /* for the model, after that: it should need none */
	DRAIN_MS = 1000,     /* for peers that do not read, when the server stops */
	DISCARD_MS = 2000,   /* for peers that do not close, when the server has ended theirs */
	LISTENERS = 512,     /* sockets of SO_REUSEPORT: of all processes, and of loops in one */
	TABLE_MAX = 1 << 22, /* connections, whatever the limit on descriptors says */
};

/* The table of connections; a place that was never used costs no memory. */
static struct conn *table;
static struct sockaddr_in *peers; /* under --verbose */
static int64_t *taken;            /* bytes that the peer had when it was looked at; see idles() */
static size_t places;

static pthread_mutex_t registry = PTHREAD_MUTEX_INITIALIZER; /* who is open, and the end */
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;    /* registry: others, or the end */
static int64_t opened;           /* now, and processes; under registry, as what follows */
static int highest;              /* the highest place ever used */
static int listening[LISTENERS]; /* what is shut at the end */
static int listeners, inherited; /* so many are another process's, too */
static pid_t *children;          /* processes forked that have not ended yet */
static size_t children_n, children_room;
static bool told; /* to end: by conn_stop() */
static atomic_bool stopping;
static bool forked; /* this process is such a child */
static sem_t awake; /* the thread that keeps house has begun */

static pthread_mutex_t sparing = PTHREAD_MUTEX_INITIALIZER;
static int spare = -1; /* a descriptor to give up when there are no more; under sparing */

/* --- who is open ------------------------------------------------------------- */

struct conn *conn_of(int fd)
{
	return &table[fd];
}

const struct sockaddr_in *conn_peer(const struct conn *conn)
{
	return &peers[conn->fd];
}

void conn_listens(int listener)
{
	pthread_mutex_lock(&registry);
	if (listeners < LISTENERS)
		listening[listeners++] = listener;
	if (told)
		shutdown(listener, SHUT_RD); /* too late */
	pthread_mutex_unlock(&registry);
}

/* Nobody comes in any more: accept fails, and a listener reads as ready.  Under registry. */
static void stop_accepting(int first)
{
	atomic_store(&stopping, true);
	for (int i = first; i < listeners; i++)
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
		*conn = (struct conn){.fd = fd, .watched = CONN_READ, .seen_ms = answer_now_ms()};
		if (taken)
			taken[fd] = 0;
		opened++;
		highest = fd > highest ? fd : highest;
		if (rules.once)
			stop_accepting(0);
	}
	pthread_mutex_unlock(&registry);
	return room;
}

/* A connection accepted is to be served; false if it was dealt with at once. */
static bool admitted(int fd, const struct sockaddr_in *peer)
{
	const int on = 1;

	if (!enter(fd)) {
		close(fd);
		return false;
	}
	if (rules.verbose)
		peers[fd] = *peer;
	answer_log(conn_of(fd), "Connected by %s\n");
	if (rules.greeting && !answer_greet(conn_of(fd))) {
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

static int accept_now(int listener, int flags, struct sockaddr_in *peer)
{
	socklen_t size = sizeof(*peer);

	return accept4(listener, (struct sockaddr *)peer, &size, flags | SOCK_CLOEXEC);
}

/*
 * With no descriptor left, accept(2) fails whether somebody waits or not.  So the spare one is
 * given up for who comes next: served if there is one again by then, or else turned away.
 */
static int accept_by_spare(int listener, int flags, struct sockaddr_in *peer)
{
	int error;
	int fd;

	pthread_mutex_lock(&sparing); /* where accept blocks, one thread waits and others for it */
	if (spare >= 0)
		close(spare);
	fd = accept_now(listener, flags, peer);
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
		struct sockaddr_in peer;
		int fd = accept_now(listener, flags, &peer);

		if (fd < 0 && exhausted(errno))
			fd = accept_by_spare(listener, flags, &peer);
		if (fd >= 0 && admitted(fd, &peer))
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
	answer_drop(conn);
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
	answer_log(conn, "%s closed\n");
	leave(conn, true);
}

void conn_forget(struct conn *conn)
{
	answer_log(conn, "%s closed\n");
	leave(conn, false);
}

bool conn_over(struct conn *conn)
{
	if (conn->stage != CONN_ENDED || conn->discards)
		return conn->stage == CONN_OVER;
	pthread_mutex_lock(&registry); /* whoever keeps house looks at both */
	conn->discards = true;
	atomic_store(&conn->seen_ms, answer_now_ms());
	pthread_mutex_unlock(&registry);
	shutdown(conn->fd, SHUT_WR);
	return false;
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

/*
 * It says nothing, and takes nothing of what waits for it in the kernel: that does not show in
 * seen_ms, which changes when there is room for more.  The first look only notes what it had.
 */
static bool idles(const struct conn *conn)
{
	int64_t before = taken[conn->fd];

	if (net_outq(conn->fd) == 0)
		return true;
	taken[conn->fd] = tcpinfo_read(conn->fd).acked;
	return taken[conn->fd] == before;
}

/* It was idle for longer than it may. */
static bool too_idle(struct conn *conn)
{
	int64_t limit = rules.idle_ms;

	if (conn->discards && (!limit || limit > DISCARD_MS))
		limit = DISCARD_MS;
	/* it may have been seen after `now` */
	if (!limit || (int32_t)(answer_now_ms() - atomic_load(&conn->seen_ms)) < limit)
		return false;
	if (idles(conn))
		return true;
	atomic_store(&conn->seen_ms, answer_now_ms());
	return false;
}

/* Shuts these connections down; NULL = all. */
static void shut_all(int how, bool (*which)(struct conn *conn))
{
	pthread_mutex_lock(&registry);
	for (int fd = STDERR_FILENO + 1; fd <= highest; fd++)
		if (table[fd].fd == fd && (!which || which(&table[fd])))
			shutdown(fd, how);
	pthread_mutex_unlock(&registry);
}

void conn_stop(void)
{
	pthread_mutex_lock(&registry);
	stop_accepting(inherited);
	told = true;
	for (size_t i = 0; i < children_n; i++)
		kill(children[i], SIGTERM);
	pthread_mutex_unlock(&registry);
	shut_all(SHUT_RD, NULL);
}

/* A child may wait for a listener that others go on with: nothing else keeps it. */
static void leave_if_alone(void)
{
	if (forked && conn_count() == 0)
		_exit(0);
}

/* There may be connections to end that are idle for too long. */
static bool ends_idle(void)
{
	return rules.idle_ms || rules.greeting || rules.reverse;
}

/* Waits for the signals, and meanwhile looks for such. */
static void *keep_house(void *argument)
{
	const struct timespec often = {0, 100000000};
	sigset_t signals;

	(void)argument;
	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sem_post(&awake);
	while (sigtimedwait(&signals, NULL, ends_idle() ? &often : NULL) < 0)
		if (ends_idle())
			shut_all(SHUT_RDWR, too_idle);
	conn_stop();
	leave_if_alone();
	usleep(DRAIN_MS * 1000);
	shut_all(SHUT_RDWR, NULL); /* they had their time */
	for (int i = 0; i < GRACE_S; i++) {
		leave_if_alone();
		sleep(1);
	}
	warnx("%lld connections did not end", (long long)conn_count());
	_exit(2);
}

/* Waits until it has begun where there may be a fork next: it holds no lock of a library then. */
static void start_house(bool await)
{
	pthread_attr_t attributes;
	pthread_t thread;

	check(pthread_attr_init(&attributes), "pthread_attr_init");
	check(pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED), "detached");
	sem_init(&awake, 0, 0);
	check(pthread_create(&thread, &attributes, keep_house, NULL), "pthread_create");
	pthread_attr_destroy(&attributes);
	while (await && sem_wait(&awake) != 0)
		; /* EINTR */
}

/* A table of zeros for all that can be. */
static void *by_descriptor(size_t bytes)
{
	void *made = mmap(NULL, places * bytes, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (made == MAP_FAILED)
		err(2, "mmap");
	return made;
}

void conn_begin(const struct conn_rules *all)
{
	struct rlimit limit = {0};

	answer_begin(all);
	check_fd(getrlimit(RLIMIT_NOFILE, &limit), "getrlimit");
	places = limit.rlim_cur < TABLE_MAX ? limit.rlim_cur : TABLE_MAX;
	table = by_descriptor(sizeof(*table));
	if (rules.verbose)
		peers = by_descriptor(sizeof(*peers));
	if (ends_idle())
		taken = by_descriptor(sizeof(*taken));
	spare = check_fd(open("/dev/null", O_RDONLY | O_CLOEXEC), "/dev/null");
	start_house(true);
}

/* --- processes --------------------------------------------------------------- */

/* The registry is as it was in the parent's thread that holds it, which is the only one here. */
static void become_child(struct conn *mine, pid_t parent)
{
	forked = true;
	children_n = 0;
	inherited = listeners;
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
	start_house(!mine);
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
		answer_drop(mine);
		close(mine->fd);
		mine->fd = -1;
	}
	pthread_mutex_unlock(&registry);
	return child;
}

/* Waits until one has ended, whosever it is, and leaves it there; 0 as conn_reap(). */
static pid_t await_any(void)
{
	siginfo_t ended = {0};
	bool any;

	pthread_mutex_lock(&registry);
	while (children_n == 0 && (opened > 0 || !atomic_load(&stopping)))
		pthread_cond_wait(&changed, &registry);
	any = children_n > 0;
	pthread_mutex_unlock(&registry);
	while (any && waitid(P_ALL, 0, &ended, WEXITED | WNOWAIT) != 0)
		; /* EINTR */
	return ended.si_pid;
}

/* Under registry, so that nobody sends a signal to its number any more; false for a stranger. */
static bool bury(pid_t child, int *status)
{
	size_t i = 0;

	while (i < children_n && children[i] != child)
		i++;
	waitpid(child, status, 0);
	if (i == children_n)
		return false;
	children[i] = children[--children_n];
	opened--;
	pthread_cond_broadcast(&changed);
	return true;
}

pid_t conn_reap(int *status)
{
	bool ours = false;
	pid_t ended;

	while (!ours && (ended = await_any()) > 0) {
		pthread_mutex_lock(&registry);
		ours = bury(ended, status);
		pthread_mutex_unlock(&registry);
	}
	return ended;
}
