/* SPDX-License-Identifier: MIT */
#include "conn_table.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
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

#include "check.h"
#include "conn_log.h"
#include "net.h"
#include "tcpinfo.h"

enum {
	GRACE_S = 10,        /* for the model to end, after DRAIN_MS: it should need no time */
	DRAIN_MS = 1000,     /* for peers that do not read, when the server stops */
	DISCARD_MS = 2000,   /* for peers that do not close, when the server has ended theirs */
	LISTENERS = 512,     /* sockets of SO_REUSEPORT: of all processes, and of loops in one */
	TABLE_MAX = 1 << 22, /* connections, whatever the limit on descriptors is */
};

/* Tables by descriptor; an entry that was never used costs no memory. */
static size_t table_size;
static struct conn *table;
static int64_t *acked_bytes; /* by the peer, when it was last checked; see made_no_progress() */

static pthread_mutex_t registry = PTHREAD_MUTEX_INITIALIZER; /* the table, and all that follows */
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;    /* opened, children_n or no_accepts */
static int64_t opened;                                       /* now, and processes */
static int highest;                                          /* descriptor ever used */
static int listening[LISTENERS];                             /* to be shut down at the end */
static int listeners, inherited; /* the first ones are another process's, too */
static pid_t *children;          /* processes forked that were not reaped yet */
static size_t children_n, children_room;
static bool stopping;          /* conn_stop() was called */
static atomic_bool no_accepts; /* it was, or once: accept no more; written under registry */
static bool forked;            /* this process is a child of conn_fork() */
static sem_t signal_thread_runs;

static pthread_mutex_t spare_lock = PTHREAD_MUTEX_INITIALIZER;
/* Closed to accept one when there are no more; written under spare_lock; -1 = it is closed. */
static atomic_int spare_fd = -1;

/* --- open connections -------------------------------------------------------- */

struct conn *conn_of(int fd)
{
	return &table[fd];
}

void conn_listens(int listener)
{
	pthread_mutex_lock(&registry);
	if (listeners < LISTENERS)
		listening[listeners++] = listener;
	if (stopping)
		shutdown(listener, SHUT_RD);
	pthread_mutex_unlock(&registry);
}

void conn_keeps(int listener)
{
	pthread_mutex_lock(&registry);
	for (int i = 0; i < listeners; i++)
		if (listening[i] != listener)
			close(listening[i]);
	listening[0] = listener;
	listeners = inherited = 1;
	pthread_mutex_unlock(&registry);
}

/* From now on accept(2) fails, and a listener is readable.  Under registry. */
static void stop_accepting(int first)
{
	atomic_store(&no_accepts, true);
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
	room = (size_t)fd < table_size && !atomic_load(&no_accepts) &&
	       (!conn_rules.max_connections || opened < conn_rules.max_connections);
	if (room) {
		*conn = (struct conn){.fd = fd, .watched = CONN_READ, .seen_ms = conn_now_ms()};
		if (acked_bytes)
			acked_bytes[fd] = 0;
		opened++;
		highest = fd > highest ? fd : highest;
		if (conn_rules.once)
			stop_accepting(0);
	}
	pthread_mutex_unlock(&registry);
	return room;
}

/* An accepted connection is to be served; false if it was closed at once. */
static bool admitted(int fd, const struct address *peer)
{
	const int on = 1;

	if (!enter(fd)) {
		close(fd);
		return false;
	}
	conn_of(fd)->works =
		conn_rules.work_port && ntohs(address_port(peer)) == conn_rules.work_port;
	if (conn_rules.verbose)
		conn_log_connected(fd, peer);
	if (conn_rules.greeting && !conn_greet(conn_of(fd))) {
		conn_close(conn_of(fd));
		return false;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* answers wait for no ACK */
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
		warnx("out of descriptors (limit %ju): new connections are closed at once",
		      (uintmax_t)limit.rlim_cur);
}

static int accept_now(int listener, int flags, struct address *peer)
{
	*peer = address_empty();
	return accept4(listener, &peer->any, &peer->size, flags | SOCK_CLOEXEC);
}

static void open_spare(void)
{
	if (spare_fd < 0)
		spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* Opens the spare descriptor again, if need be in the place of the new connection.  Under spare_lock. */
static int without_spare(int fd)
{
	int error = errno;

	open_spare();
	if (fd >= 0 && spare_fd < 0) {
		close(fd);
		fd = -1;
		error = ECONNABORTED;
		open_spare();
		warn_once();
	}
	errno = error;
	return fd;
}

/*
 * With no descriptor left accept(2) fails whether a connection is pending or not.  So the spare
 * descriptor is closed for the next one: it is served if another descriptor is free by then, or
 * else closed.  EAGAIN if another thread got it, which will give it back.
 */
static int accept_by_spare(int listener, int flags, struct address *peer)
{
	bool had;
	int fd;

	/* where accept(2) blocks, one thread blocks in it and the others wait for this lock */
	pthread_mutex_lock(&spare_lock);
	had = spare_fd >= 0;
	if (had)
		close(atomic_exchange(&spare_fd, -1));
	fd = without_spare(accept_now(listener, flags, peer));
	if (fd < 0 && errno == EMFILE && had)
		errno = EAGAIN;
	pthread_mutex_unlock(&spare_lock);
	return fd;
}

/*
 * The new connection may have got the descriptor that another thread had closed for a moment.  Who
 * blocks in accept(2) under the lock sees to that itself.
 */
static int give_back_spare(int fd, int flags)
{
	int busy;

	if (fd < 0 || spare_fd >= 0)
		return fd;
	busy = flags & SOCK_NONBLOCK ? pthread_mutex_lock(&spare_lock)
				     : pthread_mutex_trylock(&spare_lock);
	if (busy)
		return fd;
	fd = without_spare(fd);
	pthread_mutex_unlock(&spare_lock);
	return fd;
}

struct conn *conn_accept(int listener, int flags)
{
	/* short: an event loop's clients wait for it, too */
	const struct timespec pause = {0, 1000000};

	while (!atomic_load(&no_accepts)) {
		struct address peer;
		int fd = give_back_spare(accept_now(listener, flags, &peer), flags);

		if (fd < 0 && exhausted(errno))
			fd = accept_by_spare(listener, flags, &peer);
		if (fd >= 0 && admitted(fd, &peer))
			return conn_of(fd);
		if (fd >= 0)
			continue;
		if (errno == EINVAL)
			break; /* it was shut down, here or by another process */
		if (exhausted(errno)) {
			nanosleep(&pause, NULL); /* until another connection is closed */
			errno = EAGAIN;
		}
		if (errno == EAGAIN)
			return NULL;
		/* else the connection failed before it was accepted: accept(2) */
	}
	errno = ESHUTDOWN;
	return NULL;
}

/* Closes under registry: the signal thread must not shut down the next one of that number. */
static void leave(struct conn *conn, bool closing)
{
	if (conn_rules.verbose)
		conn_log_closed(conn->fd);
	conn_drop(conn);
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
	leave(conn, true);
}

void conn_forget(struct conn *conn)
{
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

/* --- shutdown ---------------------------------------------------------------- */

bool conn_stopping(void)
{
	return atomic_load(&no_accepts);
}

/*
 * Neither side made progress: seen_ms changes only when the server reads or writes, but the peer
 * may still be reading what waits in the send buffer, and the server itself be late to read.  The
 * first check only notes acked_bytes.
 */
static bool made_no_progress(const struct conn *conn)
{
	int64_t before = acked_bytes[conn->fd];

	if (net_outq(conn->fd) == 0)
		return conn->discards || net_inq(conn->fd) == 0;
	acked_bytes[conn->fd] = tcpinfo_read(conn->fd).acked;
	return acked_bytes[conn->fd] == before;
}

/* It was idle for longer than it may. */
static bool too_idle(struct conn *conn)
{
	int64_t limit = conn_rules.idle_ms;

	if (conn->discards && (!limit || limit > DISCARD_MS))
		limit = DISCARD_MS;
	/* the difference is negative if seen_ms was set after conn_now_ms() */
	if (!limit || (int32_t)(conn_now_ms() - atomic_load(&conn->seen_ms)) < limit)
		return false;
	if (made_no_progress(conn))
		return true;
	atomic_store(&conn->seen_ms, conn_now_ms());
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
	stopping = true;
	for (size_t i = 0; i < children_n; i++)
		kill(children[i], SIGTERM);
	pthread_mutex_unlock(&registry);
	shut_all(SHUT_RD, NULL);
}

/* A child may wait for a listener that its parent goes on with, and that is not shut down. */
static void leave_if_alone(void)
{
	if (forked && conn_count() == 0)
		_exit(0);
}

/* Connections may have to be closed because they are idle. */
static bool closes_idle(void)
{
	return conn_rules.idle_ms || conn_rules.greeting || conn_rules.reverse;
}

/* Waits for the signals, and meanwhile closes idle connections. */
static void *signal_thread(void *argument)
{
	const struct timespec often = {0, 100000000};
	sigset_t signals;
	int number;

	(void)argument;
	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sem_post(&signal_thread_runs);
	while ((number = sigtimedwait(&signals, NULL, closes_idle() ? &often : NULL)) < 0)
		if (closes_idle())
			shut_all(SHUT_RDWR, too_idle);
	if (conn_rules.verbose && number == SIGINT && !forked)
		conn_log_interrupted();
	conn_stop();
	leave_if_alone();
	poll(NULL, 0, DRAIN_MS);
	shut_all(SHUT_RDWR, NULL); /* of peers that do not read */
	for (int i = 0; i < GRACE_S; i++) {
		leave_if_alone();
		sleep(1);
	}
	warnx("%lld connections did not end", (long long)conn_count());
	_exit(2);
}

/* Await that it runs where fork(2) may follow: it holds no lock of the C library then. */
static void start_signal_thread(bool await)
{
	pthread_attr_t attributes;
	pthread_t thread;

	check(pthread_attr_init(&attributes), "pthread_attr_init");
	check(pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED), "detached");
	sem_init(&signal_thread_runs, 0, 0);
	check(pthread_create(&thread, &attributes, signal_thread, NULL), "pthread_create");
	pthread_attr_destroy(&attributes);
	while (await && sem_wait(&signal_thread_runs) != 0)
		; /* EINTR */
}

void *conn_by_descriptor(size_t entry_bytes)
{
	void *made = mmap(NULL, table_size * entry_bytes, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (made == MAP_FAILED)
		err(2, "mmap");
	return made;
}

void conn_begin(const struct conn_rules *rules)
{
	struct rlimit limit = {0};

	conn_set_rules(rules);
	check_fd(getrlimit(RLIMIT_NOFILE, &limit), "getrlimit");
	table_size = limit.rlim_cur < TABLE_MAX ? limit.rlim_cur : TABLE_MAX;
	table = conn_by_descriptor(sizeof(*table));
	if (conn_rules.verbose)
		conn_log_begin(conn_by_descriptor(sizeof(struct address)), &conn_rules);
	if (closes_idle())
		acked_bytes = conn_by_descriptor(sizeof(*acked_bytes));
	spare_fd = check_fd(open("/dev/null", O_RDONLY | O_CLOEXEC), "/dev/null");
	start_signal_thread(true);
}

/* --- processes --------------------------------------------------------------- */

/* Under registry, which the parent's thread held when it forked: the only thread here. */
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
		kill(getpid(), SIGTERM); /* the parent died before prctl(2) */
	start_signal_thread(!mine);
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

	pthread_mutex_lock(&registry); /* conn_stop() sees either the connection or the child */
	child = children_grow() ? fork() : -1;
	if (child == 0) {
		become_child(mine, parent);
		return 0;
	}
	if (child > 0) {
		children[children_n++] = child;
		opened += mine ? 0 : 1;
		if (stopping)
			kill(child, SIGTERM);
		pthread_cond_broadcast(&changed);
	}
	if (child > 0 && mine) {
		conn_drop(mine);
		close(mine->fd);
		mine->fd = -1;
	}
	pthread_mutex_unlock(&registry);
	return child;
}

/* Waits until any child has ended, and does not reap it yet; 0 as conn_reap(). */
static pid_t await_any(void)
{
	siginfo_t ended = {0};
	bool any;

	pthread_mutex_lock(&registry);
	while (children_n == 0 && (opened > 0 || !atomic_load(&no_accepts)))
		pthread_cond_wait(&changed, &registry);
	any = children_n > 0;
	pthread_mutex_unlock(&registry);
	while (any && waitid(P_ALL, 0, &ended, WEXITED | WNOWAIT) != 0)
		; /* EINTR */
	return ended.si_pid;
}

/* Under registry: conn_stop() must not kill the next process of that number.  False if not ours. */
static bool reap_child(pid_t child, int *status)
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
		ours = reap_child(ended, status);
		pthread_mutex_unlock(&registry);
	}
	return ended;
}
