/* SPDX-License-Identifier: MIT */
#include "python.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <libgen.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "child.h"
#include "exp.h"
#include "span.h"
#include "text.h"

enum { CANDIDATES = 64, ERROR = 256 };

static const int64_t probe_limit_ns = 30000000000; /* a machine under load, not a slow command */

/* The commands of other implementations, which may be scripts. */
static const char *const others[] = {"pypy", "jython", "ipy", "graalpy"};

/* Where version managers keep what their shims would start. */
static const char *const managed[] = {"~/.pyenv/versions/*/bin/python",
				      "~/.asdf/installs/python/*/bin/python",
				      "~/.local/share/mise/installs/python/*/bin/python",
				      "~/.local/share/uv/python/*/bin/python3"};

/* --- children ------------------------------------------------------------ */

/* Becomes the command; after fork in a program with threads only async-signal-safe calls count. */
static _Noreturn void become(const char *const argv[], int out, int errors)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	setpgid(0, 0); /* to kill what a shim starts, too */
	dup2(null, STDIN_FILENO);
	dup2(out, STDOUT_FILENO);
	dup2(errors, STDERR_FILENO);
	signal(SIGPIPE, SIG_DFL);
	execvp(argv[0], (char *const *)argv); /* which changes none of them */
	_exit(127);
}

static struct python_child spawn(const char *const argv[])
{
	struct python_child child;
	int ends[2];

	check_fd(pipe2(ends, O_CLOEXEC), "pipe2");
	child.out = ends[0];
	child.errors = check_fd(memfd_create("errors", MFD_CLOEXEC), "memfd_create");
	child.pid = child_fork();
	if (child.pid == 0)
		become(argv, ends[1], child.errors);
	setpgid(child.pid, child.pid); /* whoever comes first; it fails after its exec */
	close(ends[1]);
	return child;
}

struct python_child python_start(const struct python *python, const char *script,
				 const char *const *arguments)
{
	/* -E: no PYTHON* settings, -S: no site, -B: no .pyc, -u: lines come when they are printed */
	const char *argv[32] = {python->path, "-E", "-S", "-B", "-u"};
	size_t n = 5;

	if (python->x_option) {
		argv[n++] = "-X";
		argv[n++] = python->x_option;
	}
	argv[n++] = script;
	while (*arguments && n + 1 < sizeof(argv) / sizeof(argv[0]))
		argv[n++] = *arguments++;
	return spawn(argv);
}

/* Reads until the end or, if asked for one, a line. */
static bool read_text(struct python_child *child, char *text, size_t size, int64_t deadline_ns,
		      bool line)
{
	size_t length = 0;

	text[0] = '\0';
	while (length + 1 < size && run_wait_fd(child->out, POLLIN, deadline_ns)) {
		ssize_t n = read(child->out, text + length, size - 1 - length);

		if (n < 0)
			err(EXIT_USAGE, "read");
		if (n == 0)
			return !line;
		length += (size_t)n;
		text[length] = '\0';
		if (line && strchr(text, '\n'))
			return true;
	}
	return false;
}

bool python_read(struct python_child *child, char *text, size_t size, int64_t deadline_ns)
{
	return read_text(child, text, size, deadline_ns, false);
}

bool python_read_line(struct python_child *child, char *text, size_t size, int64_t deadline_ns)
{
	return read_text(child, text, size, deadline_ns, true);
}

/* Waits for a process that is about to end; or kills it at once.  `error` may be NULL. */
static bool reap(struct python_child *child, bool ending, char error[ERROR])
{
	int status = -1;

	if (!ending)
		kill(-child->pid, SIGKILL);
	close(child->out);
	while (waitpid(child->pid, &status, 0) < 0)
		if (errno != EINTR)
			err(EXIT_USAGE, "waitpid");
	if (error)
		child_complaint(child->errors, error, ERROR);
	close(child->errors);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

bool python_end(struct python_child *child)
{
	return reap(child, false, NULL);
}

bool python_run(const struct python *python, const char *script, const char *const *arguments,
		char *text, size_t size, int64_t limit_ns)
{
	struct python_child child = python_start(python, script, arguments);
	bool ended = python_read(&child, text, size, span_now() + limit_ns);
	char error[ERROR];
	bool succeeded = reap(&child, ended, error); /* what closes its output is ending */

	if (!ended && !run_stopped())
		errx(EXIT_USAGE, "%s: %s did not end in %.0f s", python->name, script,
		     (double)limit_ns / 1e9);
	if (!succeeded && !run_stopped())
		errx(EXIT_USAGE, "%s: %s failed: %s", python->name, script, error);
	return ended && succeeded;
}

const char *python_script(const char *name)
{
	static char path[2 * PATH_MAX];
	char self[PATH_MAX] = "";

	if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0)
		return NULL;
	snprintf(path, sizeof(path), "%s/experiments/%s", dirname(dirname(dirname(self))), name);
	return access(path, R_OK) == 0 ? path : NULL;
}

const char *python_lacking(size_t found, const char *what, const char *name)
{
	if (found == 0)
		return text_format("no %s was found here; --python names one", what);
	return python_script(name)
		       ? NULL
		       : text_format("experiments/%s is not beside the build folder", name);
}

/* --- finding ------------------------------------------------------------- */

/* Implementation, version, whether there is a GIL, path; for every Python since 2.7. */
static const char probe[] =
	"import os, sys\n"
	"name = sys.implementation.name if hasattr(sys, 'implementation') else sys.subversion[0]\n"
	"name = name.lower()\n"
	"gil = getattr(sys, '_is_gil_enabled', lambda: name not in ('jython', 'ironpython'))()\n"
	"print('%s %d %d %d %d %s' % ((name,) + tuple(sys.version_info[:3]) + (int(gil), "
	"os.path.realpath(sys.executable or ''))))\n";

struct search {
	char *tried[CANDIDATES]; /* real paths or, of a list, what was asked for */
	size_t n;
};

static void add(struct search *search, char *candidate)
{
	for (size_t i = 0; i < search->n; i++)
		if (strcmp(search->tried[i], candidate) == 0) {
			free(candidate);
			return;
		}
	if (search->n == CANDIDATES)
		free(candidate);
	else
		search->tried[search->n++] = candidate;
}

static bool is_script(const char *path)
{
	char start[2] = "";
	FILE *file = fopen(path, "re");
	size_t n = file ? fread(start, 1, sizeof(start), file) : 0;

	if (file)
		fclose(file);
	return n == sizeof(start) && memcmp(start, "#!", 2) == 0;
}

/* "python", "python2", "python3.13", "python3.13t": not python3-config. */
static bool is_interpreter(const char *path, const char *command)
{
	const char *version = strrchr(path, '/') + 1 + strlen(command);
	size_t length = strspn(version, "0123456789.");

	return access(path, X_OK) == 0 &&
	       (version[length] == '\0' || strcmp(version + length, "t") == 0);
}

enum which { PROGRAMS, SCRIPTS, BOTH };

/* Adds those of a command that match. */
static void add_matches(struct search *search, const char *pattern, const char *command,
			enum which which)
{
	glob_t found;

	if (glob(pattern, GLOB_TILDE, NULL, &found) == 0)
		for (size_t i = 0; i < found.gl_pathc; i++) {
			const char *path = found.gl_pathv[i];
			char *real = is_interpreter(path, command) ? realpath(path, NULL) : NULL;

			if (real && (which == BOTH || is_script(real) == (which == SCRIPTS)))
				add(search, real);
			else
				free(real);
		}
	globfree(&found);
}

static void search_path(struct search *search, const char *command, enum which which)
{
	const char *folders = getenv("PATH");
	char *path = check_alloc(strdup(folders ? folders : "/usr/bin"));
	char *rest = path;
	char pattern[PATH_MAX];

	for (const char *folder; (folder = strsep(&rest, ":"));) {
		snprintf(pattern, sizeof(pattern), "%s/%s*", *folder ? folder : ".", command);
		add_matches(search, pattern, command, which);
	}
	free(path);
}

static void search_machine(struct search *search, enum which which)
{
	search_path(search, "python", which);
	for (size_t i = 0; i < sizeof(managed) / sizeof(managed[0]); i++)
		add_matches(search, managed[i], "python", which);
}

static void search_list(struct search *search, const char *list)
{
	while (*list) {
		size_t length = strcspn(list, ",");
		char *one = strndup(list, length);

		if (!one)
			err(EXIT_USAGE, "strndup");
		add(search, one);
		list += length + (list[length] == ',');
	}
}

static bool is_cpython(const struct python *python)
{
	return strcmp(python->kind, "cpython") == 0;
}

static int by_version(const void *a, const void *b)
{
	const struct python *one = a;
	const struct python *two = b;
	const int differences[] = {!is_cpython(one) - !is_cpython(two),
				   strcmp(one->kind, two->kind),
				   one->major - two->major,
				   one->minor - two->minor,
				   one->micro - two->micro,
				   two->gil - one->gil};

	for (size_t i = 0; i < sizeof(differences) / sizeof(differences[0]); i++)
		if (differences[i])
			return differences[i];
	return strcmp(one->path, two->path);
}

/* Sorts them and gives each a name of its own. */
static void name_all(struct python *found, size_t n)
{
	char twin = 'a';

	qsort(found, n, sizeof(*found), by_version);
	for (size_t i = 0; i < n; i++) {
		struct python *p = &found[i];
		bool same = i > 0 && p->minor == p[-1].minor && p->micro == p[-1].micro &&
			    p->major == p[-1].major && p->gil == p[-1].gil &&
			    strcmp(p->kind, p[-1].kind) == 0;

		twin = (char)(same ? twin + 1 : 'a');
		snprintf(p->name, sizeof(p->name), "%s%d.%d.%d%s", is_cpython(p) ? "" : p->kind,
			 p->major, p->minor, p->micro, p->gil || !is_cpython(p) ? "" : "t");
		if (same)
			snprintf(p->name + strlen(p->name), 2, "%c", twin);
	}
}

/* What the probe printed; false if that is no Python. */
static bool read_probe(char *text, struct python *p)
{
	const char *name = strsep(&text, " ");
	long number[4];

	for (size_t i = 0; i < 4; i++) {
		const char *word = strsep(&text, " ");

		if (!word)
			return false;
		number[i] = strtol(word, NULL, 10);
	}
	p->major = (int)number[0];
	p->minor = (int)number[1];
	p->micro = (int)number[2];
	p->gil = number[3] != 0;
	snprintf(p->kind, sizeof(p->kind), "%s", name);
	snprintf(p->path, sizeof(p->path), "%s", text ? strsep(&text, "\n") : "");
	return p->path[0] == '/';
}

/* Runs what was found, all at once, and keeps each once; `must`: each has to be one. */
static size_t probe_all(const struct search *search, struct python *found, bool must, bool any)
{
	struct python_child children[CANDIDATES];
	char text[PATH_MAX + 100];
	size_t n = 0;

	for (size_t i = 0; i < search->n; i++)
		children[i] =
			spawn((const char *[]){search->tried[i], "-E", "-S", "-c", probe, NULL});
	for (size_t i = 0; i < search->n; i++) {
		struct python p = {0};
		bool good =
			python_read(&children[i], text, sizeof(text), span_now() + probe_limit_ns);
		size_t twin = 0;

		good = reap(&children[i], good, NULL) && good && read_probe(text, &p) &&
		       (any || is_cpython(&p));
		if (!good && must)
			errx(EXIT_USAGE, "--python: '%s' is no %s that runs here", search->tried[i],
			     any ? "Python" : "CPython");
		while (twin < n && strcmp(found[twin].path, p.path) != 0)
			twin++;
		if (good && twin == n && n < PYTHONS)
			found[n++] = p;
	}
	return n;
}

static size_t find(const char *list, struct python found[PYTHONS], bool any)
{
	struct search search = {.n = 0};
	size_t n;

	if (list)
		search_list(&search, list);
	else
		search_machine(&search, PROGRAMS);
	if (!list && search.n == 0)
		search_machine(&search, SCRIPTS);
	for (size_t i = 0; !list && any && i < sizeof(others) / sizeof(others[0]); i++)
		search_path(&search, others[i], BOTH);
	n = probe_all(&search, found, list != NULL, any);
	for (size_t i = 0; i < search.n; i++)
		free(search.tried[i]);
	name_all(found, n);
	return n;
}

size_t python_find(const char *list, struct python found[PYTHONS])
{
	return find(list, found, false);
}

size_t python_find_any(const char *list, struct python found[PYTHONS])
{
	return find(list, found, true);
}

const struct python *python_newest(const struct python *found, size_t n, int minor)
{
	const struct python *newest = NULL;

	for (size_t i = 0; i < n; i++) /* the oldest first */
		if (is_cpython(&found[i]) && found[i].major == 3 && found[i].minor >= minor &&
		    (!newest || found[i].gil || !newest->gil))
			newest = &found[i];
	return newest;
}

const char *python_what(const struct python *python)
{
	static const struct {
		const char *kind, *words;
	} known[] = {{"pypy", "PyPy"}, {"jython", "Jython"}, {"ironpython", "IronPython"}};

	if (is_cpython(python))
		return python->gil ? "CPython" : "CPython, free-threaded";
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strcmp(known[i].kind, python->kind) == 0)
			return known[i].words;
	return python->kind;
}
