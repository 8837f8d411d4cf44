// SPDX-License-Identifier: GPL-2.0
/* The paper's eighth figure: how long requests take when servers are asked more than they can do, by who moves them to others. */
#include "balance.h"

#include <math.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define LOOK_US		1000
/* Servers are asked at the rate, or so many times less often, unless the variant says how many. */
#define IDLE_PART	10
/*
 * Servers that are asked too much begin with so many requests, which are a wait of 2.4 s: it would take time until they have that many. By
 * then what waits too long is noticed and moved.
 */
#define BACKLOG		63
#define WARM_MS		3000
#define WARM_LIGHT_MS	1000

static struct scene *scene;

/* A process that ends before it is to is one too many. */
void balance_wait(uint64_t when)
{
	while (now() < when) {
		if (!crew_check())
			die("the trial has ended before its time");
		usleep(LOOK_US);
	}
}

static void serve(void *arg, unsigned int host)
{
	const struct balancing *b = arg;

	if (b->by->serve)
		b->by->serve(scene, host);
	else
		web_serve(scene, host);
}

static void ask(void *arg, unsigned int host)
{
	const struct balancing *b = arg;

	(void)host;
	if (b->by->ask)
		b->by->ask(scene, b);
	else
		web_ask(scene, b);
}

struct scene *balance_up(const struct balancing *b, unsigned int hosts)
{
	unsigned int i;

	if (!scene)
		scene = mmap(NULL, sizeof(*scene), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (scene == MAP_FAILED)
		die("mmap: %m");
	memset(scene, 0, sizeof(*scene));
	scene->hosts = hosts;
	scene->varied = b->varied;
	for (i = 0; i < hosts; i++)
		crew_run(i, false, serve, (void *)b);
	if (b->by->start)
		b->by->start(b, scene);
	while (scene->ready < hosts)
		balance_wait(now() + LOOK_US * 1000);
	return scene;
}

static bool asked(const struct scene *s, enum asked which, unsigned int host)
{
	return which == ALL || (which == FIRST ? !host : host < s->hosts - 1);
}

void balance_rates(struct scene *s, const struct balancing *b, double rate, unsigned int ms)
{
	bool heavy = rate * SERVICE_MS > 1000;
	unsigned int i, warm = heavy ? WARM_MS : WARM_LIGHT_MS;

	for (i = 0; i < s->hosts; i++)
		s->rates[i] = asked(s, b->asked, i) ? rate : rate / (b->part ? b->part : IDLE_PART);
	s->backlog = BACKLOG;
	s->warm_ns = (warm < ms ? warm : ms) * 1000000ull;
	s->window_ns = ms * 1000000ull;
}

struct spent balance_used(const struct scene *s, const struct balancing *b)
{
	struct spent used = { .fronts = crew_used() };
	unsigned int i;

	for (i = 0; i < s->hosts && b->by->nodes; i++)
		used.nodes += node_used_at(i);
	return used;
}

struct spent balance_measure(struct scene *s, const struct balancing *b)
{
	struct spent before, used;

	crew_run(CLIENT, false, ask, (void *)b);
	while (!s->begin)
		balance_wait(now() + LOOK_US * 1000);
	balance_wait(s->from);
	before = balance_used(s, b);
	s->executions = 0;
	balance_wait(s->until - LOOK_US * 1000);
	used = balance_used(s, b);
	while (crew_check())
		usleep(LOOK_US);
	return (struct spent){ used.fronts - before.fronts, used.nodes - before.nodes };
}

void balance_down(struct scene *s, const struct balancing *b)
{
	crew_end();
	if (b->by->end)
		b->by->end(s);
}

const char *balance_lacks(const struct entry *e)
{
	const struct balancing *b = e->variant;

	return b->by->lacks ? b->by->lacks() : NULL;
}

static void run(const struct table *t, const struct entry *e, const struct place *p, double *figures)
{
	const struct balancing *b = e->variant;
	struct scene *s = balance_up(b, WEB_HOSTS);
	struct spent used;

	(void)p;
	balance_rates(s, b, e->rate, t->ms);
	used = balance_measure(s, b);
	figures[0] = (double)s->total_ns / s->ended;
	figures[1] = histogram_percentile(&s->times, 50);
	figures[2] = histogram_percentile(&s->times, 99);
	figures[3] = (double)(s->ended - s->answered) / s->ended;
	figures[4] = b->by->central || b->by == &no_balancer ? NAN : (double)s->forwarded / s->ended;
	figures[5] = s->forwarded ? (double)s->in_time / s->forwarded : NAN;
	figures[6] = s->answered ? (double)s->executions / s->answered : NAN;
	figures[7] = b->by->nodes ? (double)used.nodes / s->window_ns / s->hosts : NAN;
	figures[8] = b->by == &no_balancer ? NAN : (double)used.fronts / s->window_ns / s->hosts;
	balance_down(s, b);
}

static const struct kind balanced = {
	.figures = {
		{ "mean_ns", "mean, ms", 1e-6 }, { "p50_ns", "50%, ms", 1e-6 }, { "p99_ns", "99%, ms", 1e-6 },
		{ "timed_out", "not answered, %", 100 }, { "forwarded", "by another server, %", 100 },
		{ "in_time", "of these in 2.558 s, %", 100 }, { "work", "executions of one answered", 1 },
		{ "cpu", "nodes, % of a CPU a host", 100 }, { "fronts_cpu", "in front of servers, % of a CPU a host", 100 },
	},
	.nfigures = 9,
	.lacks = balance_lacks,
	.run = run,
};

/* kecho-httpd-lb: as the paper has it, and as soon as others would be faster. */
#define LONG		"-q", "10000", "-o", "0", "-w", "2.5"
static const char *const one[] = { "-n", "1", LONG, NULL }, *const two[] = { "-n", "2", LONG, NULL };
static const char *const soon[] = { "-n", "1", "-q", "10000", "-w", "0", NULL };

#define HTTPD_LB	"kecho-httpd-lb at each host, in front of its server; filter least by the load of the servers; a request that "
#define HAPROXY		"HAProxy in front of all servers, abortonclose; "

#define BALANCING(its_by, ...) (&(const struct balancing){ .by = its_by, __VA_ARGS__ })
#define UNEVEN(name, by, settings, ...) ENTRY(name, NULL, BALANCING(by, __VA_ARGS__), settings)
#define EVEN(name, by, settings, ...) ENTRY(name, NULL, BALANCING(by, .asked = ALL, __VA_ARGS__), settings)

#define ONE(name, by, settings, ...) ENTRY(name, NULL, BALANCING(by, .asked = FIRST, __VA_ARGS__), settings)

#define NONE_SAYS	"each client asks its own server"
#define ONE_SAYS	HTTPD_LB "has waited 2.5 s goes to another one, too, if that can begin at once; the first answer counts"
#define TWO_SAYS	HTTPD_LB "has waited 2.5 s goes to two others, too, if these can begin at once; the first answer counts"
#define SOON_SAYS	HTTPD_LB "finds its server busy waits at another one, too, and soon at more; who begins first does it"
#define LEASTCONN	HAPROXY "leastconn"
#define AGENT		HAPROXY "roundrobin with weights by kecho agent-check, asked five times a second"
#define NATS		"nats-server, a queue group of the servers, which take one request after another"

static const struct entry uneven_entries[] = {
	UNEVEN("none", &no_balancer, NONE_SAYS),
	UNEVEN("kecho, n=1", &kecho_balancer, ONE_SAYS, .options = one),
	UNEVEN("kecho, soon", &kecho_balancer, SOON_SAYS, .options = soon),
	UNEVEN("HAProxy, leastconn", &haproxy_balancer, LEASTCONN),
	UNEVEN("HAProxy, agent-check", &agent_balancer, AGENT),
	UNEVEN("NATS", &nats_balancer, NATS),
};

static const struct entry even_entries[] = {
	EVEN("none", &no_balancer, NONE_SAYS),
	EVEN("kecho, soon", &kecho_balancer, SOON_SAYS, .options = soon),
	EVEN("HAProxy, leastconn", &haproxy_balancer, LEASTCONN),
	EVEN("NATS", &nats_balancer, NATS),
};

static const struct entry varied_entries[] = {
	EVEN("kecho, soon", &kecho_balancer, SOON_SAYS, .options = soon, .varied = true),
	EVEN("HAProxy, leastconn", &haproxy_balancer, LEASTCONN, .varied = true),
	UNEVEN("kecho, soon, seven of eight", &kecho_balancer, SOON_SAYS ", the eighth is asked a tenth of it", .options = soon, .varied = true),
	UNEVEN("HAProxy, leastconn, seven of eight", &haproxy_balancer, LEASTCONN ", the eighth is asked a tenth of it", .varied = true),
};

static const struct entry one_entries[] = {
	ONE("none", &no_balancer, NONE_SAYS),
	ONE("kecho, n=1", &kecho_balancer, ONE_SAYS, .options = one),
};

static const struct entry half_entries[] = {
	ONE("kecho, n=1", &kecho_balancer, ONE_SAYS, .options = one, .part = 2),
	ONE("kecho, n=2", &kecho_balancer, TWO_SAYS, .options = two, .part = 2),
};

static const unsigned int uneven_rates[] = { 20, 33, 50 }, one_rates[] = { 40 }, even_rates[] = { 22 };

static const struct table tables[] = {
	{
		.alternations = 1,
		.name = "uneven", .title = "Response time by the requests in a second to seven of eight servers, which do 26; the eighth is asked a "
		"tenth of it", .kind = &balanced, .ms = 2500, .places = { [WEB] = true }, ENTRIES(uneven_entries),
		.axis = AXIS_RATE, .values = uneven_rates, .nvalues = ARRAY_SIZE(uneven_rates),
	},
	{
		.name = "one", .title = "Response time by the requests in a second to one of eight servers; the others are asked a tenth of it",
		.kind = &balanced, .ms = 2500, .places = { [WEB] = true }, ENTRIES(one_entries),
		.axis = AXIS_RATE, .values = one_rates, .nvalues = ARRAY_SIZE(one_rates),
	},
	{
		.name = "half", .title = "Response time by the requests in a second to one of eight servers; the others are asked half of it",
		.kind = &balanced, .ms = 5000, .places = { [WEB] = true }, ENTRIES(half_entries),
		.axis = AXIS_RATE, .values = one_rates, .nvalues = ARRAY_SIZE(one_rates),
	},
	{
		.name = "even", .title = "Response time where all eight servers are asked as much", .kind = &balanced, .ms = 2500,
		.places = { [WEB] = true }, ENTRIES(even_entries),
		.axis = AXIS_RATE, .values = even_rates, .nvalues = ARRAY_SIZE(even_rates),
	},
	{
		.name = "varied", .title = "Response time where one request in five takes a server ten times as long as the others",
		.kind = &balanced, .ms = 4000, .places = { [WEB] = true }, ENTRIES(varied_entries),
		.axis = AXIS_RATE, .values = even_rates, .nvalues = ARRAY_SIZE(even_rates),
	},
};

const struct part balance_part = {
	"balance", "Web servers with more requests than they can do, by who moves them to others: response time, work, CPU time", tables,
	ARRAY_SIZE(tables),
};
