/* SPDX-License-Identifier: MIT */
/*
 * python_calls - do Python's sendall and bind do what their callers think?
 *
 * Some think that sendall returns how many bytes it sent, as send does, and that bind takes the port as
 * text, as it comes from a command line.  Each Python found runs python_calls.py: it sends by both calls
 * over a connection, counts what arrives, and binds a socket to a port given as text.
 */
#include <err.h>
#include <stdlib.h>
#include <string.h>

#include "exp.h"
#include "judge.h"
#include "python.h"
#include "span.h"

enum { BYTES = 8, TWICE = 2 * BYTES };

static struct python pythons[PYTHONS];
static size_t pythons_n;
static struct variant variants[PYTHONS + 1]; /* variant i is pythons[i] */

static const struct claim claims[] = {
	{"py-sendall-returns", "sendall returns the number of bytes that it sent", "send", HOLDS,
	 .why = {[REFUTED] =
			 "sendall comes back when everything is sent, so there is no number to tell: it returns None. If it raises, nobody knows how much was sent. send is the call that may send a part and returns how much."}},
	{"py-port-is-string", "bind takes the port as text", "number", HOLDS,
	 .why = {[REFUTED] =
			 "a port is a number of 16 bits in the address. What comes from a command line is text: int() makes a number of it."}},
	{0}};

static const struct row_field fields[] = {
	{"sendall_returned", "by sendall of 8 bytes", "sendall|returns", SHOW_TEXT, .text = true},
	{"send_returned", "by send of 8 bytes", "send|returns", SHOW_TEXT, .text = true},
	{"bind_result", "of a port as text: bound, or the exception", "bind of a|port as text",
	 SHOW_TEXT, .text = true},
	{"sendall_counted", "1: sendall returned the number of bytes"},
	{"sendall_none", "1: it returned None"},
	{"send_counted", "1: send returned the number of bytes"},
	{"text_bound", "1: the port as text was bound"},
	{"text_type_error", "1: it was a TypeError"},
	{"lost_bytes", "of both calls, that did not arrive", .zero = true, .sham = "uncounted"},
	{"elapsed_ns", "of the program"},
	{0}};

static const struct bound bounds[] = {
	{"enough_runs", 1, "what a call returns is the interpreter's choice, not chance"}, {0}};

static const char *list;

static const struct opt opts[] = {{0, "python",
				   "these interpreters, comma-separated, not all that are found",
				   .text = &list, .metavar = "PATH,..."},
				  {0}};

static bool is_count(const char *returned)
{
	return strtoll(returned, NULL, 10) == BYTES;
}

static void measure(struct run *run)
{
	const int64_t limit_ns = 60000000000;
	const char *const arguments[] = {run_sham(run, "send") ? "send" : "sendall",
					 run_sham(run, "number") ? "number" : "text", NULL};
	const struct python *python = &pythons[run_variant(run)];
	int64_t begin_ns = span_now(), received;
	const char *returned, *sent, *result;
	char text[128];
	char *rest = text;

	if (!python_run(python, python_script("tcp/python_calls.py"), arguments, text, sizeof(text),
			limit_ns))
		return;
	returned = strsep(&rest, " ");
	sent = strsep(&rest, " ");
	received = rest ? strtoll(strsep(&rest, " "), NULL, 10) : 0;
	result = strsep(&rest, "\n");
	if (!result)
		errx(EXIT_USAGE, "%s: python_calls.py printed something else", python->name);
	if (run_sham(run, "uncounted"))
		received -= BYTES;
	run_record(run, (struct field[]){{"sendall_returned", .text = returned},
					 {"send_returned", .text = sent},
					 {"bind_result", .text = result},
					 {"sendall_counted", is_count(returned)},
					 {"sendall_none", strcmp(returned, "None") == 0},
					 {"send_counted", is_count(sent)},
					 {"text_bound", strcmp(result, "bound") == 0},
					 {"text_type_error", strcmp(result, "TypeError") == 0},
					 {"lost_bytes", TWICE - received},
					 {"elapsed_ns", span_now() - begin_ns},
					 {0}});
}

static struct share runs(struct run *run, const char *field)
{
	return run_nonzero_in(run, 0, pythons_n - 1, field);
}

static void judge(struct run *run)
{
	int64_t enough = (int64_t)run_bound(run, "enough_runs");
	struct share counted = runs(run, "sendall_counted");
	struct share bound;

	run_judge(
		run, "py-sendall-returns", case_by_case(counted, enough),
		"sendall returned the number of bytes in {counted} runs, None in {none} ({pythons} interpreters); send returned it in {sent}",
		number_share("counted", counted), number_int("pythons", (int64_t)pythons_n),
		number_share("none", runs(run, "sendall_none")),
		number_share("sent", runs(run, "send_counted")));
	bound = runs(run, "text_bound");
	run_judge(
		run, "py-port-is-string", case_by_case(bound, enough),
		"a port given as text was bound in {bound} runs, refused with a TypeError in {refused} ({pythons} interpreters)",
		number_share("bound", bound), number_int("pythons", (int64_t)pythons_n),
		number_share("refused", runs(run, "text_type_error")));
}

static void choose(void)
{
	pythons_n = python_find_any(list, pythons);
	for (size_t i = 0; i < pythons_n; i++)
		variants[i] = (struct variant){pythons[i].name, python_what(&pythons[i])};
}

static const struct experiment about = {
	.name = "python_calls",
	.group = "tcp",
	.order = 430,
	.summary = "What does Python's sendall return, and does bind take a port as text?",
	.claims = claims,
	.fields = fields,
	.bounds = bounds,
	.opts = opts,
	.variants = variants,
	.choose = choose,
	.trials = 2,
	.quick_trials = 1,
	.judge = judge,
};

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);
	const char *lacking = python_lacking(pythons_n, "Python", "tcp/python_calls.py");

	if (lacking)
		return run_skip(run, "%s", lacking);
	while (run_next(run))
		measure(run);
	return run_end(run);
}
