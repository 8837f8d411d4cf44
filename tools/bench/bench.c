// SPDX-License-Identifier: GPL-2.0
/* kecho-bench: the command line, and the order of trials. */
#include "report.h"

#include <argp.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <kecho/version.h>

#define ALTERNATIONS	5
#define REPORT		"report"
#define REPORT_DIR	"build/bench"

static const struct part *const parts[] = {
	&calls_part, &submission_part, &delivery_part, &filters_part, &ring_part, &peers_part, &sizes_part, &fanout_part, &rates_part,
	&links_part, &scale_part, &balance_part, &updates_part,
};

struct options {
	const char *out, *mount, **names;
	unsigned int alternations, ms;
	int nnames;
	bool list, report;
};

enum { OPT_LIST = 256, OPT_MOUNT, OPT_CPUS, OPT_MS };

static const struct argp_option option_list[] = {
	{ "output", 'o', "DIR", 0, "write what was measured to DIR/PART.json, too; of it all " REPORT " makes DIR/report.md", 0 },
	{ "alternations", 'n', "N", 0, "measure everything N times (5; balance and updates: 1)", 0 },
	{ "mount", OPT_MOUNT, "DIR", 0, "use the node that is mounted at DIR, not a kechofsd of its own", 0 },
	{ "cpus", OPT_CPUS, "A,B", 0, "use these two CPUs, not the first two", 0 },
	{ "ms", OPT_MS, "MS", 0, "let each trial take so long, to see whether it works at all", 0 },
	{ "list", OPT_LIST, NULL, 0, "list what there is", 0 },
	{ 0 }
};

volatile sig_atomic_t interrupted;
const char *argp_program_version = "kecho-bench " KECHO_VERSION;

void warning(const char *fmt, ...)
{
	int err = errno;
	va_list args;

	fflush(stdout);
	fputs("kecho-bench: ", stderr);
	errno = err;	/* of %m */
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
}

static unsigned int number(struct argp_state *state, const char *arg, unsigned int most)
{
	char *end;
	unsigned long n = strtoul(arg, &end, 10);

	if (*end || !n || n > most)
		argp_error(state, "not a number from 1 to %u: %s", most, arg);
	return n;
}

/* @name is PART or PART/TABLE. */
static bool names(const char *name, const struct part *p, const struct table *t)
{
	size_t len = strlen(p->name);

	return !strncmp(name, p->name, len) && (!name[len] || (name[len] == '/' && !strcmp(name + len + 1, t->name)));
}

static bool known(const char *name)
{
	size_t i, j;

	for (i = 0; i < ARRAY_SIZE(parts); i++)
		for (j = 0; j < parts[i]->ntables; j++)
			if (names(name, parts[i], &parts[i]->tables[j]))
				return true;
	return false;
}

static bool wanted(const struct options *o, const struct part *p, const struct table *t)
{
	int i;

	for (i = 0; i < o->nnames; i++)
		if (names(o->names[i], p, t))
			return true;
	return !o->nnames;
}

static error_t parse_opt(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;

	switch (key) {
	case 'o':
		o->out = arg;
		return 0;
	case 'n':
		o->alternations = number(state, arg, 1000);
		return 0;
	case OPT_MOUNT:
		o->mount = arg;
		return 0;
	case OPT_CPUS:
		if (!cpu_init(arg))
			argp_error(state, "not two CPUs that may be used: %s", arg);
		return 0;
	case OPT_MS:
		o->ms = number(state, arg, 60000);
		return 0;
	case OPT_LIST:
		o->list = true;
		return 0;
	case ARGP_KEY_INIT:
		cpu_init(NULL);
		return 0;
	case ARGP_KEY_ARG:
		if (!strcmp(arg, REPORT)) {
			o->report = true;
			return 0;
		}
		if (!known(arg))
			argp_error(state, "no '%s': --list shows what there is", arg);
		o->names[o->nnames++] = arg;
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static const struct argp argp = {
	option_list, parse_opt, "[PART[/TABLE]...] [" REPORT "]",
	"Measure how events get from one process to another, by KECho and by others. Of what is named, or of everything, Markdown "
	"tables go to standard output. " REPORT ": of all results in the directory (" REPORT_DIR ") make a report with plots.",
	NULL, NULL, NULL
};

static void list(void)
{
	const struct part *p;
	size_t i, j;

	for (i = 0; i < ARRAY_SIZE(parts); i++) {
		p = parts[i];
		printf("%s\t%s\n", p->name, p->help);
		for (j = 0; j < p->ntables; j++)
			printf("%s/%s\t%s\n", p->name, p->tables[j].name, p->tables[j].title);
	}
	puts(REPORT "\tWhat was measured, with plots, beside the paper and the goals");
}

/* All rows in turn, again and again. */
static void measure(const struct table *t, const json_t *table, const struct place *place, unsigned int alternations)
{
	unsigned int nrows, a, i, f;
	struct entry *rows = rows_of(t, &nrows);
	struct result r = { t, place, rows, nrows, alternations, calloc(nrows * FIGURES_MAX * alternations, sizeof(double)) };
	double figures[FIGURES_MAX];

	if (!r.values)
		die("%m");
	for (a = 0; a < alternations; a++) {
		for (i = 0; i < nrows; i++) {
			(t->kind->run ? t->kind->run : trial_run)(t, &rows[i], place, figures);
			for (f = 0; f < t->kind->nfigures; f++)
				result_values(&r, i, f)[a] = figures[f];
		}
	}
	report_result(stdout, table, json_result(&r));
	free(r.values);
	free(rows);
}

/* Where there is one CPU, what is to be on two is on that one, unless the subscriber needs it all the time. */
static const struct place *place_of(const struct table *t, enum where w)
{
	const struct place *p = t->places[w] ? cpu_place(w) : NULL;

	if (!p && w == ONE_CPU && t->places[TWO_CPUS] && !cpu_place(TWO_CPUS) && t->receiver == SLEEPS)
		p = cpu_place(ONE_CPU);
	return p;
}

/* Operations, at a rate, where one CPU has the receivers' work, too: so slowly that it is done before the next one. */
#define SLOWER	10
#define LONGER	3

static void adapt(struct table *t)
{
	if (!t->kind->run || !t->rate || cpu_place(TWO_CPUS))
		return;
	t->rate /= SLOWER;
	t->ms *= LONGER;
}

static void run_table(const struct table *table, const struct options *o)
{
	struct table t = *table;
	const struct place *place;
	const json_t *json;
	enum where w;

	adapt(&t);
	if (o->ms)
		t.ms = o->ms;
	json = json_table(&t);
	report_table(stdout, json);
	for (w = 0; w < WHERES; w++) {
		place = place_of(&t, w);
		if (!place)
			continue;
		if (!place->line || line_up(place->line, place->hosts)) {
			if (place->hosts > 2)
				node_cluster(place->hosts);
			measure(&t, json, place, o->alternations);
			node_unpair();
		}
		if (place->line)
			line_down();
	}
}

static void run_part(const struct part *p, const struct options *told)
{
	struct options here = *told, *o = &here;
	unsigned int i, n = 0;

	if (!o->alternations)
		o->alternations = p->tables->alternations ? p->tables->alternations : ALTERNATIONS;
	for (i = 0; i < p->ntables; i++) {
		if (!wanted(o, p, &p->tables[i]))
			continue;
		if (!n++)
			report_part(stdout, json_start(p, o->alternations));
		run_table(&p->tables[i], o);
	}
	if (n)
		json_write(o->out, p->name);
}

static void measure_all(const struct options *o)
{
	size_t i;

	node_start(o->mount);
	server_init();
	trial_init();
	for (i = 0; i < ARRAY_SIZE(parts); i++)
		run_part(parts[i], o);
	if (fflush(stdout) || ferror(stdout))
		die("cannot write the output: %m");
}

/* It ends the wait for a trial; again and again, for that may be about to begin. */
static void on_signal(int signo)
{
	interrupted = signo;
	alarm(1);
}

int main(int argc, char **argv)
{
	struct sigaction end = { .sa_handler = on_signal };
	const char *names[argc];
	struct options o = { .names = names };

	argp_err_exit_status = EXIT_USAGE;
	argp_parse(&argp, argc, argv, 0, NULL, &o);
	if (o.list) {
		list();
		return EXIT_SUCCESS;
	}
	sigaction(SIGINT, &end, NULL);
	sigaction(SIGTERM, &end, NULL);
	sigaction(SIGHUP, &end, NULL);
	sigaction(SIGALRM, &end, NULL);
	if (o.nnames || !o.report)
		measure_all(&o);
	if (o.report || (!o.nnames && o.out))
		document_write(o.out ? o.out : REPORT_DIR);
	return EXIT_SUCCESS;
}
