/* SPDX-License-Identifier: MIT */
/*
 * What the workers of the load generator counted, summed up: for rows and for people.
 */
#include <stddef.h>
#include <string.h>

#include "load.h"
#include "machine.h"
#include "rows.h"
#include "text.h"

enum { MANY = 1000 };

static const char *const count_names[LOAD_COUNTS] = {
	[LOAD_UNANSWERED] = "unanswered",
	[LOAD_IN_WINDOW] = "in_window",
	[LOAD_BYTES] = "bytes",
	[LOAD_SERVED] = "served_connections",
	[LOAD_OPEN] = "open_connections",
	[LOAD_WRONG_BYTES] = "wrong_bytes",
	[LOAD_LATE_SENDS] = "late_sends",
	[LOAD_LATE_NS] = "late_ns",
	[LOAD_REFUSED] = "errors_refused",
	[LOAD_RESET] = "errors_reset",
	[LOAD_CLOSED] = "errors_closed",
	[LOAD_TIMED_OUT] = "errors_timed_out",
	[LOAD_WRONG] = "errors_wrong",
	[LOAD_NO_PORT] = "errors_no_port",
	[LOAD_OTHER] = "errors_other",
};

/* What else is of a generator, and is read again. */
static const struct {
	const char *name;
	size_t offset;
} measures[] = {
	{"elapsed_ns", offsetof(struct load_result, elapsed_ns)},
	{"cpu_ns", offsetof(struct load_result, cpu_ns)},
	{"window_cpu_ns", offsetof(struct load_result, window_cpu_ns)},
	{"thread_cpu_ns", offsetof(struct load_result, thread_cpu_ns)},
	{"thread_ready_ns", offsetof(struct load_result, thread_ready_ns)},
	{"cpus", offsetof(struct load_result, cpus)},
};

enum { MEASURES = sizeof(measures) / sizeof(measures[0]) };

static const int64_t most_read = (int64_t)1
				 << 53; /* a number that is read: the sum of a thousand fits */

static const double saturated = 0.9; /* of a CPU */
static const double starved =
	0.5; /* of the window, in which a thread could have run but had no CPU */
static const double many_late = 0.1; /* of the sends: p90 of the latency is wrong by as much */

void load_count(struct load_result *result, const struct load_plan *plan,
		const struct load_tally *tallies)
{
	struct load_tally *all = &result->all;

	memset(result, 0, sizeof(*result));
	for (int64_t i = 0; i < plan->workers; i++) {
		const struct load_tally *one = &tallies[i];

		histogram_merge(&all->latency, &one->latency);
		for (int k = 0; k < LOAD_COUNTS; k++)
			histogram_bump(&all->count[k], one->count[k]);
	}
	result->requests = histogram_count(&all->latency) - all->count[LOAD_UNANSWERED];
	for (int k = LOAD_REFUSED; k < LOAD_COUNTS; k++)
		result->errors += all->count[k];
}

static void add_busiest(struct load_result *result, int64_t cpu_ns, int64_t ready_ns)
{
	if (cpu_ns + ready_ns <= result->thread_cpu_ns + result->thread_ready_ns)
		return;
	result->thread_cpu_ns = cpu_ns;
	result->thread_ready_ns = ready_ns;
}

void load_sum_up(struct load_result *result, const struct load_plan *plan,
		 const struct load_tally *tallies, const struct load_server *before,
		 const struct load_server *after)
{
	load_count(result, plan, tallies);
	for (int64_t i = 0; i < plan->workers; i++) {
		const struct load_tally *one = &tallies[i];

		if (span_wall(&one->span) <= 0)
			continue; /* it was interrupted in the warm-up */
		span_cover(&result->all.span, &one->span);
		result->cpu_ns += one->cpu_ns;
		add_busiest(result, one->span.cpu_ns, one->ready_ns);
	}
	result->elapsed_ns = span_wall(&result->all.span);
	result->window_cpu_ns = result->all.span.cpu_ns;
	result->cpus = machine_cpus();
	if (before) {
		result->server = after;
		result->used = load_used(before, after);
	}
}

/* A thread of the generator, or all of its CPUs, were saturated. */
static bool generator_was_busy(const struct load_result *result)
{
	double most = saturated * (double)result->elapsed_ns;

	return result->elapsed_ns > 0 &&
	       ((double)(result->thread_cpu_ns + result->thread_ready_ns) >= most ||
		(double)result->thread_ready_ns >= starved * (double)result->elapsed_ns ||
		(double)result->window_cpu_ns >= most * (double)result->cpus);
}

static bool generator_was_late(const struct load_result *result)
{
	int64_t late = result->all.count[LOAD_LATE_SENDS];

	return late && (double)late >= many_late * (double)histogram_count(&result->all.latency);
}

const char *load_limit(const struct load_result *result)
{
	return result->all.count[LOAD_NO_PORT] ? "ports"
	       : generator_was_busy(result)    ? "cpu"
	       : generator_was_late(result)    ? "late"
					       : "none";
}

/* --- rows -------------------------------------------------------------------- */

void load_record(json_t *row, const struct load_result *result)
{
	const struct load_tally *all = &result->all;
	const struct histogram *latency = &all->latency;

	rows_add(row,
		 (struct field[]){{"requests", result->requests}, {"errors", result->errors}, {0}});
	for (int i = 0; i < MEASURES; i++) {
		int64_t number;

		memcpy(&number, (const char *)result + measures[i].offset, sizeof(number));
		rows_add(row, (struct field[]){{measures[i].name, number}, {0}});
	}
	for (int k = 0; k < LOAD_COUNTS; k++)
		rows_add(row, (struct field[]){{count_names[k], all->count[k]}, {0}});
	if (result->requests)
		rows_add(row, (struct field[]){{"p50_ns", histogram_quantile(latency, 0.5)},
					       {"p90_ns", histogram_quantile(latency, 0.9)},
					       {"p99_ns", histogram_quantile(latency, 0.99)},
					       {"p999_ns", histogram_quantile(latency, 0.999)},
					       {"max_ns", histogram_quantile(latency, 1)},
					       {0}});
}

void load_record_machine(json_t *row, const struct load_result *result)
{
	const struct load_held *held = &result->held;

	rows_add(row, (struct field[]){{"begin_ns", result->begin_ns},
				       {"open_ns", held->open_ns},
				       {"rss_bytes", held->rss_bytes},
				       {"kernel_grown_bytes", held->kernel_grown.bytes},
				       {"taken_bytes", -held->kernel_grown.available_bytes},
				       {"kernel_grown_sockets", held->kernel_grown.sockets},
				       {"tracked_connections", held->kernel_grown.tracked},
				       {0}});
	if (result->server && result->server->files)
		rows_add(row,
			 (struct field[]){{"server_grown_files", held->server_grown_files}, {0}});
	if (result->server)
		rows_add(row,
			 (struct field[]){{"server_elapsed_ns", result->used.elapsed_ns},
					  {"server_cpu_ns", result->used.cpu_ns},
					  {"server_busiest_thread_ns", result->used.busiest_ns},
					  {"server_rss_bytes", result->server->rss_bytes},
					  {"server_pss_bytes", result->server->pss_bytes},
					  {"server_grown_bytes", held->server_grown},
					  {"server_processes", result->server->processes},
					  {"server_threads", (int64_t)result->server->threads_n},
					  {"server_voluntary_switches", result->used.voluntary},
					  {"server_involuntary_switches", result->used.involuntary},
					  {0}});
}

/* A number of a row in [0, most_read]; false if it is none. */
static bool read_number(const json_t *row, const char *name, int64_t *number)
{
	const json_t *value = json_object_get(row, name);

	*number = json_integer_value(value);
	return json_is_integer(value) && *number >= 0 && *number <= most_read;
}

const char *load_read(const json_t *sample, const json_t *histogram, struct load_tally *tally,
		      struct load_result *result)
{
	const struct load_plan alone = {.workers = 1};
	int64_t number;

	if (histogram_read(&tally->latency, histogram) != 0)
		return "histogram";
	for (int k = 0; k < LOAD_COUNTS; k++) {
		if (!read_number(sample, count_names[k], &number))
			return count_names[k];
		histogram_bump(&tally->count[k], number);
	}
	load_count(result, &alone, tally);
	for (int i = 0; i < MEASURES; i++) {
		if (!read_number(sample, measures[i].name, &number))
			return measures[i].name;
		memcpy((char *)result + measures[i].offset, &number, sizeof(number));
	}
	if (!read_number(sample, "requests", &number) || number != result->requests)
		return "requests";
	if (!read_number(sample, "errors", &number) || number != result->errors)
		return "errors";
	if (tally->count[LOAD_IN_WINDOW] > result->requests)
		return count_names[LOAD_IN_WINDOW];
	return result->elapsed_ns ? NULL : "elapsed_ns";
}

void load_add_generator(struct load_result *result, const struct load_result *one)
{
	if (one->elapsed_ns > result->elapsed_ns)
		result->elapsed_ns = one->elapsed_ns;
	result->cpu_ns += one->cpu_ns;
	result->window_cpu_ns += one->window_cpu_ns;
	result->cpus += one->cpus;
	add_busiest(result, one->thread_cpu_ns, one->thread_ready_ns);
}

void load_record_since(json_t *row, const struct load_result *now, const struct load_result *before)
{
	static struct histogram latency; /* it is large */
	int64_t requests = now->requests - before->requests;

	latency = now->all.latency;
	histogram_since(&latency, &before->all.latency);
	rows_add(row, (struct field[]){{"requests", requests},
				       {"errors", now->errors - before->errors},
				       {0}});
	if (requests)
		rows_add(row, (struct field[]){{"p50_ns", histogram_quantile(&latency, 0.5)},
					       {"p99_ns", histogram_quantile(&latency, 0.99)},
					       {0}});
}

/* --- for people -------------------------------------------------------------- */

static const char *a_request(const struct load_result *result, int64_t ns)
{
	return text_time((double)ns / (double)(result->requests ? result->requests : 1));
}

static void print_server(FILE *out, const struct load_result *result)
{
	double requests = (double)(result->requests ? result->requests : 1);

	fprintf(out, "  server       %s of CPU a request, %s of a CPU in its busiest thread\n",
		a_request(result, result->used.cpu_ns),
		text_share((double)result->used.busiest_ns / (double)result->used.elapsed_ns));
	fprintf(out, "               %s threads in %s processes, %s resident\n",
		text_count((int64_t)result->server->threads_n),
		text_count(result->server->processes), text_bytes(result->server->rss_bytes));
	fprintf(out, "               a request: %.3f voluntary, %.3f involuntary switches\n",
		(double)(result->used.voluntary) / requests,
		(double)(result->used.involuntary) / requests);
}

/* Other programs' memory changes, too: only that of many connections is larger. */
static void print_memory(FILE *out, const struct load_plan *plan, const struct load_result *result)
{
	int64_t connections = plan->connections + plan->idle;

	if (connections < MANY)
		return;
	fprintf(out,
		"  memory       a connection: %s of the kernel, for both ends if both are here",
		text_bytes(result->held.kernel_grown.bytes / connections));
	if (result->server)
		fprintf(out, "\n               and %s of the server",
			text_bytes(result->held.server_grown / connections));
	fputc('\n', out);
}

static void print_errors(FILE *out, const struct load_result *result)
{
	const char *comma = "";

	fputs("  errors       ", out);
	for (int k = LOAD_REFUSED; k < LOAD_COUNTS; k++) {
		if (!result->all.count[k])
			continue;
		fprintf(out, "%s%s %s", comma, text_count(result->all.count[k]),
			count_names[k] + strlen("errors_"));
		comma = ", ";
	}
	if (result->all.count[LOAD_WRONG_BYTES])
		fprintf(out, " (%s wrong bytes)", text_count(result->all.count[LOAD_WRONG_BYTES]));
	fputs(result->errors ? "\n" : "none\n", out);
}

/* A thread of the server, or all of its CPUs, which may be the generator's, too, were saturated. */
static bool server_was_busy(const struct load_result *result)
{
	const struct load_server *server = result->server;
	double elapsed = (double)result->used.elapsed_ns;
	double used = (double)result->used.cpu_ns;
	double both = used + (double)result->cpu_ns;

	return (double)result->used.busiest_ns >= saturated * elapsed ||
	       used >= saturated * elapsed * (double)server->cpus ||
	       (server->with_own && both >= saturated * elapsed * (double)server->with_own);
}

void load_print_note(FILE *out, const char *note)
{
	fputs("  NOTE: ", out);
	text_wrap(out, 8, 2, note);
}

void load_print_notes(FILE *out, const struct load_plan *plan, const struct load_result *result)
{
	bool busy = generator_was_busy(result);

	if (busy && !result->server)
		load_print_note(
			out,
			"a thread of the generator ran, or waited for a CPU, nearly all the time, so perhaps not the server was the bottleneck: --server-pid shows it.");
	else if (busy && !server_was_busy(result))
		load_print_note(
			out,
			"the generator was the bottleneck, not the server: use more --threads, or CPUs of their own for them.");
	else if (generator_was_late(result))
		load_print_note(
			out,
			text_format(
				"%s requests were sent more than %s late because the generator did not run before: latencies are partly its own.",
				text_count(result->all.count[LOAD_LATE_SENDS]),
				text_time((double)load_late_ns)));
	else if (plan->rate && result->all.count[LOAD_UNANSWERED] > 0)
		load_print_note(
			out,
			"the server did not keep up with the rate; an unanswered request counts with a latency until the end, at least.");
}

void load_print(FILE *out, const struct load_plan *plan, const struct load_result *result)
{
	const struct histogram *latency = &result->all.latency;
	double seconds = (double)result->elapsed_ns / 1e9;

	if (plan->rate)
		fprintf(out, "%s: open loop, %s requests/s (%s)", plan->server_name,
			text_count(plan->rate), plan->arrivals);
	else
		fprintf(out, "%s: closed loop", plan->server_name);
	fprintf(out, "\n  connections  %s, requests of %s bytes, from %s thread%s\n",
		text_count(plan->connections), plan->sizes_text, text_count(plan->workers),
		plan->workers == 1 ? "" : "s");
	if (result->requests) {
		fprintf(out, "  answered     %s requests; in %.2f s %s/s, %.1f MB/s\n",
			text_count(result->requests), seconds,
			text_count((int64_t)((double)result->all.count[LOAD_IN_WINDOW] / seconds +
					     0.5)),
			(double)result->all.count[LOAD_BYTES] / seconds / 1e6);
		fprintf(out, "  latency      p50 %s, p90 %s, p99 %s, p99.9 %s, max %s\n",
			text_time((double)histogram_quantile(latency, 0.5)),
			text_time((double)histogram_quantile(latency, 0.9)),
			text_time((double)histogram_quantile(latency, 0.99)),
			text_time((double)histogram_quantile(latency, 0.999)),
			text_time((double)histogram_quantile(latency, 1)));
	} else {
		fprintf(out, "  answered     nothing\n");
	}
	if (result->all.count[LOAD_UNANSWERED])
		fprintf(out, "  unanswered   %s requests\n",
			text_count(result->all.count[LOAD_UNANSWERED]));
	print_errors(out, result);
	fprintf(out, "  generator    %s of CPU a request, %s of a CPU in its busiest thread\n",
		a_request(result, result->window_cpu_ns),
		text_share(result->elapsed_ns > 0
				   ? (double)result->thread_cpu_ns / (double)result->elapsed_ns
				   : 0));
}

void load_print_machine(FILE *out, const struct load_plan *plan, const struct load_result *result)
{
	if (result->server)
		print_server(out, result);
	print_memory(out, plan, result);
}
