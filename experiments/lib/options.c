/* SPDX-License-Identifier: MIT */
#include "options.h"

#include <err.h>
#include <stdlib.h>

/* What --help says behind the options: variants, claims and exit statuses. */
static char *details(const void *experiment)
{
	const struct experiment *about = experiment;
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		err(EXIT_USAGE, "open_memstream");
	if (about->choose)
		about->choose();
	if (about->variants)
		fputs("Variants:\n", out);
	for (const struct variant *v = about->variants; v && v->name; v++)
		fprintf(out, "  %-18s %s\n", v->name, v->help);
	fputs("\nClaims under test:\n", out);
	for (const struct claim *c = about->claims; c->id; c++)
		fprintf(out, "  %-18s %s\n", c->id, c->text);
	fputs("\nExit status: 0 measured, 1 a control failed, 2 bad usage or environment, "
	      "77 this machine cannot test it.",
	      out);
	fclose(out);
	return text;
}

enum { BUDGET_MS = 20000, QUICK_BUDGET_MS = 2000, MAX_BUDGET_MS = 3600000 };

static void common_table(const struct experiment *about, struct common *common)
{
	size_t n = 0;

	common->trials = about->trials;
	common->seed = 42;
	common->budget_ms = BUDGET_MS;
	common->opts[n++] = (struct opt){
		.name = "trials",
		.help = "trials of each variant, exactly; without it, at least so many",
		.num = &common->trials,
		.min = 1,
		.max = MAX_TRIALS,
		.quick = about->quick_trials,
		.given = &common->trials_given};
	common->opts[n++] =
		(struct opt){.name = "budget",
			     .help = "while a claim is unclear, more trials for so long",
			     .num = &common->budget_ms,
			     .max = MAX_BUDGET_MS,
			     .quick = QUICK_BUDGET_MS,
			     .unit = OPT_MS};
	common->opts[n++] = (struct opt){.name = "seed",
					 .help = "seed of the order of trials",
					 .num = &common->seed,
					 .max = INT32_MAX};
	common->opts[n++] = (struct opt){
		.name = "quick", .help = "a short run, for a first look", .flag = &common->quick};
	common->opts[n++] = (struct opt){.name = "cpus",
					 .help = "run on these CPUs only, such as 0-1,3",
					 .text = &common->cpus,
					 .metavar = "LIST"};
	common->opts[n++] = (struct opt){.name = "sham",
					 .help = "take away what the claim or control of this id "
						 "is about: it must come out otherwise",
					 .text = &common->sham,
					 .metavar = "ID"};
	common->opts[n++] =
		(struct opt){.key = 'o',
			     .name = "output",
			     .help = "write the rows there as JSON Lines; - is standard output",
			     .text = &common->output,
			     .metavar = "FILE"};
	common->opts[n++] = (struct opt){
		.name = "brief", .help = "print the verdicts only", .flag = &common->brief};
	common->opts[n++] = (struct opt){.key = 'q',
					 .name = "quiet",
					 .help = "print the verdicts only, no progress",
					 .flag = &common->quiet};
	common->opts[n++] =
		(struct opt){.name = "describe",
			     .help = "print claims, fields, bounds and shams as JSON, and end",
			     .flag = &common->describe};
	common->opts[n++] = (struct opt){.name = "lang",
					 .help = "print in this language, such as ko",
					 .text = &common->language,
					 .metavar = "CODE"};
	common->hosts[0] = (struct opt){.name = "peer",
					.help = "the other half is there, where it is served",
					.text = &common->peer,
					.metavar = "HOST[:PORT]"};
	common->hosts[1] = (struct opt){.name = "serve",
					.help = "be the other half of runs on other hosts, one at "
						"a time, at this address (default 127.0.0.1:65431)",
					.text = &common->serve,
					.metavar = "ADDRESS[:PORT]",
					.without = "127.0.0.1"};
	if (about->variants)
		common->opts[n++] = (struct opt){.name = "variants",
						 .help = "only these variants, such as a,b",
						 .text = &common->variants,
						 .metavar = "LIST"};
}

void options_parse(const struct experiment *about, struct common *common, int argc, char *argv[])
{
	struct opt_page page = {
		.doc = about->summary, .details = details, .about = about, .quick = &common->quick};
	static const struct opt none = {0};

	common_table(about, common);
	page.tables[0] = (struct opt_table){"This experiment:", about->opts ? about->opts : &none};
	page.tables[1] = (struct opt_table){"Every experiment:", common->opts};
	if (about->halves)
		page.tables[2] = (struct opt_table){"On two hosts:", common->hosts};
	opt_parse(&page, argc, argv);
	if (common->peer && common->sham)
		errx(EXIT_USAGE, "--sham is of one host, without --peer");
	if (about->choose)
		about->choose();
}

json_t *options_params(const struct experiment *about, const struct common *common)
{
	json_t *params = json_object();

	opt_record(params, about->opts);
	opt_record(params, common->opts);
	return params;
}
