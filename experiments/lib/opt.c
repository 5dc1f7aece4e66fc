/* SPDX-License-Identifier: MIT */
#include "opt.h"

#include <argp.h>
#include <ctype.h>
#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "exp.h"
#include "machine.h"
#include "text.h"

/* Keys of options without a letter: above every character. */
enum { NAME = 64 }; /* bytes of a parameter's */
enum { MAX_OPTS = 64, LONG_ONLY = 0x100, USAGE = 0x200, ARGUMENT = 4096, EVERY = 3 };

/* What argp's parser works on: all tables as one list. */
struct parse {
	const struct opt *opts[MAX_OPTS];
	bool given[MAX_OPTS];
	size_t n;
	int *rest;
	const struct opt_page *page;
	char *details; /* of --help; NULL = the page's doc is all */
};

/* Reads ".25" as a numerator over a power of ten; an exact one, so at most nine digits. */
static const char *read_fraction(const char *text, int64_t *over, int64_t *ten)
{
	const char *end = text;

	*over = 0;
	*ten = 1;
	if (*end != '.' || !isdigit((unsigned char)end[1]))
		return end;
	for (end++; isdigit((unsigned char)*end) && *ten < 1000000000; end++) {
		*over = *over * 10 + (*end - '0');
		*ten *= 10;
	}
	return end;
}

/* What the suffix multiplies by; 0 for one that the unit does not have. */
static int64_t scale_of(const char *suffix, enum opt_unit unit)
{
	static const char suffixes[] = "kMG";
	const char *place = strchr(suffixes, *suffix == 'K' ? 'k' : *suffix);
	int64_t scale = 1;

	if (*suffix == '\0')
		return 1;
	if (unit == OPT_MS)
		return strcmp(suffix, "s") == 0 ? 1000 : strcmp(suffix, "ms") == 0 ? 1 : 0;
	if (!place || suffix[1])
		return 0;
	for (const char *c = suffixes; c <= place; c++)
		scale *= unit == OPT_COUNT ? 1000 : 1024;
	return scale;
}

int opt_number(const char *text, enum opt_unit unit, int64_t *number)
{
	int64_t scale;
	int64_t over;
	int64_t ten;
	long long value;
	char *end;

	if (!isdigit((unsigned char)text[0]) && text[0] != '-')
		return EINVAL;
	errno = 0;
	value = strtoll(text, &end, 10);
	if (errno)
		return ERANGE;
	if (end == text)
		return EINVAL;
	scale = scale_of(read_fraction(end, &over, &ten), unit);
	if (scale == 0 || over * scale % ten != 0)
		return EINVAL;
	if (__builtin_mul_overflow(value, scale, number))
		return ERANGE;
	over = over * scale / ten;
	return __builtin_add_overflow(*number, text[0] == '-' ? -over : over, number) ? ERANGE : 0;
}

static const char *number_text(const struct opt *opt, int64_t number)
{
	switch (opt->unit) {
	case OPT_BYTES:
		return text_bytes(number);
	case OPT_BYTES_PER_S:
		return text_format("%s/s", text_bytes(number));
	case OPT_MS:
		return text_format("%s ms", text_count(number));
	case OPT_COUNT:
		break;
	}
	return text_count(number);
}

/* Messages repeat what is wrong in one line, which such an argument would break. */
static void refuse_unreadable(const char *what, const char *arg, size_t length)
{
	if (length > ARGUMENT)
		errx(EXIT_USAGE, "%s: longer than %d bytes", what, ARGUMENT);
	for (size_t i = 0; i < length; i++)
		if (text_control(&arg[i], length - i))
			errx(EXIT_USAGE, "%s: a line break or control character", what);
}

void opt_readable(const char *what, const char *arg)
{
	refuse_unreadable(what, arg, strlen(arg));
}

void opt_unexpected(const char *arg)
{
	opt_readable("unexpected argument", arg);
	errx(EXIT_USAGE, "unexpected argument '%s'", arg);
}

static bool takes_value(const struct parse *parse, int letter)
{
	for (size_t i = 0; i < parse->n; i++)
		if (parse->opts[i]->key == letter)
			return !parse->opts[i]->flag;
	return false;
}

/* The same of the names of options, which getopt would repeat; argp takes the letter 0xff for -?. */
static void refuse_unreadable_names(const struct parse *parse, int argc, char *argv[])
{
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
		if (strncmp(argv[i], "--", 2) == 0)
			refuse_unreadable("option", argv[i], strcspn(argv[i], "="));
		else if (argv[i][0] == '-')
			for (const char *c = &argv[i][1]; *c && !takes_value(parse, c[-1]); c++)
				if ((unsigned char)*c >= 0x7f || iscntrl((unsigned char)*c))
					errx(EXIT_USAGE, "option: a letter that is not ASCII");
	}
}

static void set_number(const struct opt *opt, const char *arg)
{
	int64_t number;
	int error = opt_number(arg, opt->unit, &number);

	refuse_unreadable(text_format("--%s", opt->name), arg, strlen(arg));
	if (error == EINVAL)
		errx(EXIT_USAGE, "--%s: '%s' is not a number%s", opt->name, arg,
		     opt->unit == OPT_MS ? " of milliseconds (2000, 2000ms, 2s)" : "");
	if (error || number < opt->min || number > opt->max)
		errx(EXIT_USAGE, "--%s: %s is not in the range %s to %s", opt->name, arg,
		     number_text(opt, opt->min), number_text(opt, opt->max));
	*opt->num = number;
}

static void set_text(const struct opt *opt, const char *arg)
{
	const char *list = "";

	if (!opt->lines)
		refuse_unreadable(text_format("--%s", opt->name), arg, strlen(arg));
	for (const char *const *c = opt->choices; c && *c; c++) {
		if (strcmp(*c, arg) == 0)
			break;
		list = text_format("%s %s", list, *c);
		if (!c[1])
			errx(EXIT_USAGE, "--%s: '%s' is none of:%s", opt->name, arg, list);
	}
	*opt->text = arg;
}

static int key_of(const struct parse *parse, size_t i)
{
	return parse->opts[i]->key ? parse->opts[i]->key : LONG_ONLY + (int)i;
}

/*
 * What argp has by itself, without its undocumented options: --HANG sleeps for an hour, and as --H, too;
 * --program-name is another one.  The group stands last.
 */
static const struct argp_option every_program[EVERY] = {
	{.name = "help", .key = '?', .doc = "Give this help list", .group = -1},
	{.name = "usage", .key = USAGE, .doc = "Give a short usage message"},
	{.name = "version", .key = 'V', .doc = "Print program version", .group = -1}};

/* Ends the program if it is one of these. */
static void answer_every(int key, const struct argp_state *state)
{
	struct parse *parse = state->input;

	if (key == '?' && parse->page->details) /* which may fail, before anything is printed */
		parse->details = parse->page->details(parse->page->about);
	if (key == '?')
		argp_state_help(state, stdout, ARGP_HELP_STD_HELP);
	else if (key == USAGE)
		argp_state_help(state, stdout, ARGP_HELP_USAGE | ARGP_HELP_EXIT_OK);
	else if (key == 'V')
		printf("%s, %s\n", state->name, machine_version());
	else
		return;
	exit(0); /* NOLINT(concurrency-mt-unsafe): no thread runs yet */
}

static error_t parse_one(int key, char *arg, struct argp_state *state)
{
	struct parse *parse = state->input;

	answer_every(key, state);
	if (key == ARGP_KEY_INIT) {
		state->err_stream =
			NULL; /* getopt says what is wrong; argp would add a second line */
		return 0;
	}
	if (key == ARGP_KEY_ARG && parse->rest)
		return ARGP_ERR_UNKNOWN; /* the rest follows */
	if (key == ARGP_KEY_ARGS) {
		*parse->rest = state->next;
		return 0;
	}
	if (key == ARGP_KEY_ARG)
		opt_unexpected(arg);
	for (size_t i = 0; i < parse->n; i++) {
		const struct opt *opt = parse->opts[i];

		if (key_of(parse, i) != key)
			continue;
		parse->given[i] = true;
		if (opt->given)
			*opt->given = true;
		if (!arg)
			arg = (char *)opt->without;
		if (opt->num)
			set_number(opt, arg);
		else if (opt->flag)
			*opt->flag = true;
		else
			set_text(opt, arg);
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

/* The option's help with its range, choices and default; to be freed. */
static char *help_of(const struct opt *opt)
{
	char *help = NULL;
	size_t size;
	FILE *out = open_memstream(&help, &size);

	if (!out)
		err(EXIT_USAGE, "open_memstream");
	fputs(opt->help, out);
	if (opt->num) {
		fprintf(out, " (%s to %s; default %s", number_text(opt, opt->min),
			number_text(opt, opt->max), number_text(opt, *opt->num));
		if (opt->quick)
			fprintf(out, ", quick %s", number_text(opt, opt->quick));
		fprintf(out, "%s%s)", opt->zero ? "; 0 is " : "", opt->zero ? opt->zero : "");
	}
	for (const char *const *c = opt->choices; c && *c; c++)
		fprintf(out, "%s%s", c == opt->choices ? " (" : ", ", *c);
	if (opt->choices)
		fprintf(out, "; default %s)", *opt->text);
	fclose(out);
	return help;
}

static const char *argument_of(const struct opt *opt)
{
	static const char *const units[] = {[OPT_COUNT] = "N",
					    [OPT_BYTES] = "BYTES",
					    [OPT_BYTES_PER_S] = "BYTES/S",
					    [OPT_MS] = "MS"};

	if (opt->flag)
		return NULL;
	if (opt->num)
		return units[opt->unit];
	return opt->metavar ? opt->metavar : "WORD";
}

/* Of two options with one name argp would take the first, and none would see it. */
static void refuse_twice(const struct parse *parse, const struct opt *opt)
{
	for (size_t i = 0; i < parse->n; i++)
		if (strcmp(parse->opts[i]->name, opt->name) == 0 ||
		    (opt->key && parse->opts[i]->key == opt->key))
			errx(EXIT_USAGE, "--%s is declared twice, or its letter is", opt->name);
}

/* Adds a table to the list and to argp's, whose used options are freed by opt_parse(). */
static size_t add_table(const struct opt_table *table, int group, struct parse *parse,
			struct argp_option *options)
{
	size_t used = 0;

	options[used++] = (struct argp_option){.doc = table->heading, .group = group};
	for (const struct opt *opt = table->opts; opt && opt->name; opt++) {
		if (parse->n == MAX_OPTS)
			errx(EXIT_USAGE, "more than %d options", MAX_OPTS);
		refuse_twice(parse, opt);
		parse->opts[parse->n++] = opt;
		options[used++] =
			(struct argp_option){.name = opt->name,
					     .key = key_of(parse, parse->n - 1),
					     .arg = argument_of(opt),
					     .flags = opt->without ? OPTION_ARG_OPTIONAL : 0,
					     .doc = help_of(opt),
					     .group = group};
	}
	return used;
}

/* argp's filter of --help, which frees what it returns unless that is the text. */
static char *help_filter(int key, const char *text, void *input)
{
	const struct parse *parse = input;

	return key == ARGP_KEY_HELP_POST_DOC && parse->details ? parse->details : (char *)text;
}

void opt_parse(const struct opt_page *page, int argc, char *argv[])
{
	struct parse parse = {.page = page, .rest = page->rest};
	struct argp_option options[MAX_OPTS + OPT_TABLES + EVERY + 1] = {{0}};
	struct argp argp = {options,     parse_one, page->arguments, page->doc, NULL,
			    help_filter, NULL};
	size_t used = 0;

	if (page->rest)
		*page->rest = argc;
	for (int t = 0; t < OPT_TABLES && page->tables[t].opts; t++)
		used += add_table(&page->tables[t], t + 1, &parse, &options[used]);
	memcpy(&options[used], every_program, sizeof(every_program));
	argp_err_exit_status = EXIT_USAGE;
	refuse_unreadable_names(&parse, argc, argv);
	if (argp_parse(&argp, argc, argv, ARGP_NO_HELP, NULL, &parse) != 0)
		exit(EXIT_USAGE); /* NOLINT(concurrency-mt-unsafe): no thread runs yet */
	for (size_t i = 0; page->quick && *page->quick && i < parse.n; i++)
		if (parse.opts[i]->quick && !parse.given[i])
			*parse.opts[i]->num = parse.opts[i]->quick;
	for (size_t i = 0; i < used; i++)
		if (options[i].name)
			free((char *)options[i].doc);
}

/* The name of an option's parameter. */
static const char *param_of(const struct opt *opt, char name[NAME])
{
	static const char *const suffix[] = {[OPT_COUNT] = "",
					     [OPT_BYTES] = "_bytes",
					     [OPT_BYTES_PER_S] = "_bytes_per_s",
					     [OPT_MS] = "_ms"};

	snprintf(name, NAME, "%s%s", opt->name, opt->num ? suffix[opt->unit] : "");
	for (char *c = name; *c; c++)
		if (*c == '-')
			*c = '_';
	return name;
}

static void add_param(json_t *params, const struct opt *opt)
{
	char name[NAME];
	json_t *value;

	if (opt->num)
		value = json_integer(*opt->num);
	else if (opt->flag)
		value = json_boolean(*opt->flag);
	else
		value = *opt->text ? rows_text(*opt->text) : json_null();
	json_object_set_new(params, param_of(opt, name), value);
}

void opt_record(json_t *params, const struct opt *opts)
{
	for (const struct opt *opt = opts; opt && opt->name; opt++)
		add_param(params, opt);
}

/* Whether a text is one of the choices, if there are any. */
static bool may_be(const struct opt *opt, const char *text)
{
	const char *const *choice = opt->choices;

	while (choice && *choice && strcmp(*choice, text) != 0)
		choice++;
	return !choice || *choice;
}

static bool restore(const json_t *value, const struct opt *opt)
{
	if (opt->num && json_is_integer(value)) {
		*opt->num = json_integer_value(value);
		return *opt->num >= opt->min && *opt->num <= opt->max;
	}
	if (opt->flag && json_is_boolean(value)) {
		*opt->flag = json_is_true(value);
		return true;
	}
	if (!opt->text || !(json_is_string(value) || json_is_null(value)))
		return false;
	*opt->text = json_string_value(value);
	return !*opt->text || may_be(opt, *opt->text);
}

const char *opt_restore(const json_t *params, const struct opt *opts)
{
	char name[NAME];

	for (const struct opt *opt = opts; opt && opt->name; opt++)
		if (!restore(json_object_get(params, param_of(opt, name)), opt))
			return text_format("--%s: out of range", opt->name);
	return NULL;
}
