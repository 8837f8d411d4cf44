// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * expr: only candidates for which an expression is true pass. expr expr='load < 0.7 && zone == "a"'
 *
 * setup() makes a program for a stack machine of the text, without recursion: operators that wait for their right side are on a
 * stack of DEPTH_MAX, and so are, when it runs, the values that wait for them. It only ever jumps forward, so that none of at most
 * STEPS_MAX steps is taken twice. What it wants of the event is looked up once for each event; steps find it by its number.
 */
#include <kecho/filter.h>

#define ONE KECHO_DECIMAL_ONE
/* No byte of the text makes more than one step, and between values there is one. */
#define STEPS_MAX KECHO_ATTR_VALUE_MAX
#define VALUES_MAX (STEPS_MAX / 2 + 1)
#define DEPTH_MAX 16

enum kind { NOTHING, NUMBER, TEXT };

/* A number is whole + part / ONE, with @part below ONE, negative ones too: -0.25 is -1 and 0.75. A text has @part bytes. */
struct value {
	union {
		__s64 whole;
		const char *text;
	};
	__u32 part;
	__u8 kind;
};

enum op {
	/* what is on the stack; OF_EVENT the last of those that push */
	NOT, MINUS, PLUS, MINUS2, TIMES, OVER, EQ, NE, LT, LE, GT, GE, BEGINS, OR, AND, TRUTH,
	CONST, ATTR, HAS, ID, SINK, AGE, OF_EVENT,
	/* what may be wanted of an event */
	EVENT_ATTR, EVENT_HAS, TYPE, PRIO, LEN, PUBLISHER, LOCAL,
	/* only while it is made */
	PAREN,
};

/* @arg: the number of a constant, of a name, which is one, or of what is wanted of the event; where to jump */
struct step {
	__u8 op, arg;
};

struct config {
	struct step steps[STEPS_MAX];
	struct step event[VALUES_MAX];
	struct value pool[VALUES_MAX];
	__u8 n, nevent, npool;
	bool candidates;	/* they matter */
	char text[2 * KECHO_ATTR_VALUE_MAX];	/* the pool's, each with a NUL */
};

/* What one event says, as the config wants it. */
struct state {
	struct value event[VALUES_MAX];
	char publisher[16];
};

/* --- values --- */

static struct value number(__s64 whole, __u32 part)
{
	return (struct value){ .whole = whole, .part = part, .kind = NUMBER };
}

static struct value text(const char *s, __u32 len)
{
	return (struct value){ .text = s, .part = len, .kind = TEXT };
}

static struct value hex(__u64 id, char digits[16])
{
	int i;

	for (i = 16; i--; id >>= 4)
		digits[i] = "0123456789abcdef"[id & 15];
	return text(digits, 16);
}

/* What is missing, a text where there should be a number, and what is out of range make nothing of a whole calculation. */
static struct value nothing(void)
{
	return (struct value){ .kind = NOTHING };
}

static __u64 divide(__u64 n, __u32 by, __u32 *rest)
{
#ifdef __KERNEL__
	return div_u64_rem(n, by, rest);
#else
	*rest = n % by;
	return n / by;
#endif
}

static __u64 over_one(__u64 n, __u32 *rest)
{
	return divide(n, ONE, rest);
}

static __u64 size_of(struct value v, __u32 *part)
{
	__u64 whole = v.whole;

	*part = v.whole < 0 && v.part ? ONE - v.part : v.part;
	return v.whole >= 0 ? whole : v.part ? ~whole : -whole;
}

static struct value sized(bool negative, __u64 size, __u32 part)
{
	if (size > __INT64_MAX__ && !(negative && size == 1ull << 63 && !part))
		return nothing();
	if (!negative)
		return number(size, part);
	return part ? number(~size, ONE - part) : number(-size, 0);
}

/* @part up to ONE. */
static struct value plus(struct value a, __s64 whole, __u32 part)
{
	__s64 low = a.whole < whole ? a.whole : whole, high = a.whole < whole ? whole : a.whole;

	part += a.part;
	/* The lower first: if that is too much, the sum is. */
	if (__builtin_add_overflow(low, part >= ONE, &low) || __builtin_add_overflow(low, high, &low))
		return nothing();
	return number(low, part >= ONE ? part - ONE : part);
}

static struct value minus(struct value a, struct value b)
{
	return plus(a, ~b.whole, ONE - b.part);
}

/* size * part / ONE: the whole of it, and in @rest units of 1 / ONE */
static __u64 share(__u64 size, __u32 part, __u64 *rest)
{
	__u32 low;
	__u64 high = over_one(size, &low);

	*rest += (__u64)low * part;
	return high * part;
}

static struct value times(struct value a, struct value b)
{
	__u32 ap, bp, part;
	__u64 as = size_of(a, &ap), bs = size_of(b, &bp), size, rest;

	if (__builtin_mul_overflow(as, bs, &size))
		return nothing();
	rest = over_one((__u64)ap * bp, &part);
	/* Together below 2^64. */
	bs = share(bs, ap, &rest) + share(as, bp, &rest);
	bs += over_one(rest, &part);
	if (__builtin_add_overflow(size, bs, &size))
		return nothing();
	return sized((a.whole < 0) != (b.whole < 0), size, part);
}

struct wide {
	__u64 high, low;
};

static struct wide times_one(struct wide n, __u32 add)
{
	__u64 low = (n.low & ~0u) * ONE + add, high = (n.low >> 32) * ONE + (low >> 32);

	return (struct wide){ n.high * ONE + (high >> 32), high << 32 | (__u32)low };
}

static struct wide twice(struct wide n, __u64 add)
{
	return (struct wide){ n.high << 1 | n.low >> 63, n.low << 1 | add };
}

static struct value over(struct value a, struct value b)
{
	bool negative = (a.whole < 0) != (b.whole < 0);
	__u32 ap, bp, part;
	__u64 as = size_of(a, &ap), bs = size_of(b, &bp), high;
	struct wide by = times_one((struct wide){ 0, bs }, bp), n, rest = { 0, 0 };
	int bits = 128;

	if (!bs && !bp)
		return nothing();
	if (!bp && bs <= ~0u) {
		as = divide(as, bs, &part);
		return sized(negative, as, divide((__u64)part * ONE + ap, bs, &part));
	}
	n = times_one(times_one((struct wide){ 0, as }, ap), 0);
	for (; bits && !(n.high >> 63); bits--)
		n = twice(n, 0);
	/* Bit by bit the dividend leaves at the top and the quotient, in units of 1 / ONE, enters below. */
	while (bits--) {
		rest = twice(rest, n.high >> 63);
		n = twice(n, 0);
		if (rest.high > by.high || (rest.high == by.high && rest.low >= by.low)) {
			rest.high -= by.high + (rest.low < by.low);
			rest.low -= by.low;
			n.low |= 1;
		}
	}
	if (n.high > ONE / 2)
		return nothing();
	high = over_one(n.high << 32 | n.low >> 32, &part);
	as = (high << 32) + over_one((__u64)part << 32 | (__u32)n.low, &part);
	return sized(negative, as, part);
}

static struct value calculate(enum op op, struct value a, struct value b)
{
	if (a.kind != NUMBER || b.kind != NUMBER)
		return nothing();
	switch (op) {
	case PLUS:
		return plus(a, b.whole, b.part);
	case MINUS2:
		return minus(a, b);
	case TIMES:
		return times(a, b);
	default:
		return over(a, b);
	}
}

static bool compare(enum op op, struct value a, struct value b)
{
	int c;

	if (a.kind != b.kind || a.kind == NOTHING)
		return false;
	if (op == BEGINS)
		return a.kind == TEXT && a.part >= b.part && !memcmp(a.text, b.text, b.part);
	if (a.kind == TEXT)
		c = memcmp(a.text, b.text, a.part < b.part ? a.part : b.part);
	else
		c = (a.whole > b.whole) - (a.whole < b.whole);
	if (!c)
		c = (a.part > b.part) - (a.part < b.part);
	switch (op) {
	case EQ:
		return !c;
	case NE:
		return c;
	case LT:
		return c < 0;
	case LE:
		return c <= 0;
	case GT:
		return c > 0;
	default:
		return c >= 0;
	}
}

static bool truth(struct value v)
{
	return v.kind == NUMBER && (v.whole || v.part);
}

static struct value from_attr(const struct kecho_attr *a)
{
	__u64 size;
	__u32 part;

	switch (a->type) {
	case KECHO_ATTR_INT:
		return number(a->num, 0);
	case KECHO_ATTR_DECIMAL:
		size = over_one(size_of(number(a->num, 0), &part), &part);
		return sized(a->num < 0, size, part);
	default:
		return text(a->str, a->str_len);
	}
}

static struct value seconds(__u64 ns)
{
	__u32 part;
	__u64 whole = over_one(ns, &part);

	return number(whole, part);
}

/* --- running --- */

static struct value of_event(struct kecho_filter *f, const struct kecho_event *ev, struct step want)
{
	const struct config *c = f->config;
	struct state *s = f->state;
	struct kecho_attr a;

	switch (want.op) {
	case EVENT_ATTR:
		return kecho_attr_find(ev->attrs, ev->attrs_len, c->pool[want.arg].text, &a) ? from_attr(&a) : nothing();
	case EVENT_HAS:
		return number(kecho_attr_find(ev->attrs, ev->attrs_len, c->pool[want.arg].text, &a), 0);
	case TYPE:
		return text(ev->type, ev->type_len);
	case PRIO:
		return number(ev->prio, 0);
	case LEN:
		return number(ev->len, 0);
	case PUBLISHER:
		return hex(ev->publisher, s->publisher);
	default:
		return number(!!(ev->flags & KECHO_FRAME_LOCAL), 0);
	}
}

static bool passes(const struct config *c, const struct state *s, const struct kecho_candidate *to, __u64 now)
{
	struct value stack[DEPTH_MAX + 1], *top = stack;
	const struct step *step = c->steps, *end = step + c->n;
	struct kecho_attr a;
	char node[16];

	for (; step < end; step++) {
		switch (step->op) {
		case CONST:
			*top++ = c->pool[step->arg];
			break;
		case OF_EVENT:
			*top++ = s->event[step->arg];
			break;
		case ATTR:
			*top++ = kecho_candidate_attr(to, c->pool[step->arg].text, &a) ? from_attr(&a) : nothing();
			break;
		case HAS:
			*top++ = number(kecho_candidate_attr(to, c->pool[step->arg].text, &a), 0);
			break;
		case ID:
			*top++ = hex(to->node, node);
			break;
		case SINK:
			*top++ = number(to->sink, 0);
			break;
		case AGE:
			*top++ = seconds(to->heard_ns && now > to->heard_ns ? now - to->heard_ns : 0);
			break;
		case NOT:
			top[-1] = number(!truth(top[-1]), 0);
			break;
		case MINUS:
			top[-1] = top[-1].kind == NUMBER ? minus(number(0, 0), top[-1]) : nothing();
			break;
		case TRUTH:
			top[-1] = number(truth(top[-1]), 0);
			break;
		case OR:
		case AND:
			if (truth(top[-1]) == (step->op == OR)) {
				top[-1] = number(step->op == OR, 0);
				step = c->steps + step->arg - 1;
			} else {
				top--;
			}
			break;
		case PLUS:
		case MINUS2:
		case TIMES:
		case OVER:
			top--;
			top[-1] = calculate(step->op, top[-1], top[0]);
			break;
		default:
			top--;
			top[-1] = number(compare(step->op, top[-1], top[0]), 0);
		}
	}
	return truth(top[-1]);
}

static void run(struct kecho_filter *f, struct kecho_pass *p)
{
	const struct config *c = f->config;
	struct state *s = f->state;
	__u32 i, kept = 0;

	for (i = 0; i < c->nevent; i++)
		s->event[i] = of_event(f, &p->event, c->event[i]);
	if (!c->candidates) {
		if (!passes(c, s, NULL, p->now_ns))
			p->n = 0;
		return;
	}
	for (i = 0; i < p->n; i++)
		if (passes(c, s, p->candidates[i], p->now_ns))
			p->candidates[kept++] = p->candidates[i];
	p->n = kept;
}

/* --- making the program --- */

/* What is known of a value before there is one. */
enum type { ANY, IS_NUMBER, IS_TRUTH, IS_TEXT };

/*
 * @ops: what waits for its right side, or to be closed, each with its place in the text and, if it jumps, that in the program
 * @types: of the values that there will be on the stack
 */
struct maker {
	struct kecho_filter *f;
	struct config *c;
	const char *start, *p, *end;
	struct {
		const char *at;
		__u8 op, step;
	} ops[DEPTH_MAX];
	__u8 types[DEPTH_MAX + 1];
	__u32 nops, ntypes, ntext;
};

static const struct {
	char name[16];
	__u8 op, type;
} built_in[] = {
	{ "id", ID, IS_TEXT }, { "sink", SINK, IS_NUMBER }, { "age", AGE, IS_NUMBER }, { "local", LOCAL, IS_TRUTH },
	{ "event.type", TYPE, IS_TEXT }, { "event.prio", PRIO, IS_NUMBER }, { "event.len", LEN, IS_NUMBER },
	{ "event.publisher", PUBLISHER, IS_TEXT },
};

enum level { LEVEL_PAREN, LEVEL_OR, LEVEL_AND, LEVEL_EQUAL, LEVEL_ORDER, LEVEL_ADD, LEVEL_TIMES, LEVEL_UNARY };

/* One that begins another comes after it. */
static const struct {
	char text[3];
	__u8 op, level;
} operators[] = {
	{ "||", OR, LEVEL_OR }, { "&&", AND, LEVEL_AND },
	{ "==", EQ, LEVEL_EQUAL }, { "!=", NE, LEVEL_EQUAL }, { "^=", BEGINS, LEVEL_EQUAL },
	{ "<=", LE, LEVEL_ORDER }, { ">=", GE, LEVEL_ORDER }, { "<", LT, LEVEL_ORDER }, { ">", GT, LEVEL_ORDER },
	{ "+", PLUS, LEVEL_ADD }, { "-", MINUS2, LEVEL_ADD }, { "*", TIMES, LEVEL_TIMES }, { "/", OVER, LEVEL_TIMES },
};

static enum level level(enum op op)
{
	size_t i;

	for (i = 0; i < sizeof(operators) / sizeof(operators[0]); i++)
		if (operators[i].op == op)
			return operators[i].level;
	return op == PAREN ? LEVEL_PAREN : LEVEL_UNARY;
}

static int refuse(struct maker *m, const char *at, const char *what)
{
	int left = m->end - at;

	if (!left)
		return kecho_filter_refuse(m->f, "expr, at its end: %s", what);
	return kecho_filter_refuse(m->f, "expr, at byte %d, \"%.*s\": %s", (int)(at - m->start) + 1, left < 24 ? left : 24, at, what);
}

static void emit(struct maker *m, __u8 op, __u8 arg)
{
	m->c->steps[m->c->n++] = (struct step){ op, arg };
}

/* There are at most as many as operators that wait, and one. */
static void push(struct maker *m, enum op op, __u8 arg, enum type type)
{
	struct config *c = m->c;

	m->types[m->ntypes++] = type;
	if (op > OF_EVENT) {
		c->event[c->nevent] = (struct step){ op, arg };
		emit(m, OF_EVENT, c->nevent++);
	} else {
		c->candidates = c->candidates || op != CONST;
		emit(m, op, arg);
	}
}

static __u8 pool(struct maker *m, struct value v)
{
	m->c->pool[m->c->npool] = v;
	return m->c->npool++;
}

static __u8 pool_text(struct maker *m, const char *s, size_t len)
{
	char *to = m->c->text + m->ntext;

	memcpy(to, s, len);
	m->ntext += len + 1;
	return pool(m, text(to, len));
}

static int wait(struct maker *m, const char *at, enum op op)
{
	if (m->nops == DEPTH_MAX)
		return refuse(m, at, "more than 16 parentheses and operators wait here for what follows: nest less");
	m->ops[m->nops].at = at;
	m->ops[m->nops].op = op;
	m->ops[m->nops++].step = m->c->n;
	return 0;
}

static int no_text(struct maker *m, const char *at)
{
	if (m->types[m->ntypes - 1] != IS_TEXT)
		return 0;
	return refuse(m, at, "a text is neither true or false nor a number: compare it");
}

/* Both sides of the last operator that waited are there. */
static int settle(struct maker *m)
{
	__u8 op = m->ops[--m->nops].op, *types = m->types + m->ntypes - 1;
	const char *at = m->ops[m->nops].at;
	enum level at_level = level(op);
	int err = 0;

	switch (at_level) {
	case LEVEL_OR:
	case LEVEL_AND:
		err = no_text(m, at);
		if (*types != IS_TRUTH)
			emit(m, TRUTH, 0);
		m->c->steps[m->ops[m->nops].step].arg = m->c->n;
		*types = IS_TRUTH;
		return err;
	case LEVEL_EQUAL:
	case LEVEL_ORDER:
		types--;
		if (op == BEGINS && ((types[0] && types[0] != IS_TEXT) || (types[1] && types[1] != IS_TEXT)))
			err = refuse(m, at, "^= compares texts: does one begin with the other?");
		else if (types[0] && types[1] && (types[0] == IS_TEXT) != (types[1] == IS_TEXT))
			err = refuse(m, at, "a text is compared with a number, which is never true");
		*types = IS_TRUTH;
		m->ntypes--;
		break;
	case LEVEL_UNARY:
		err = no_text(m, at);
		*types = op == NOT ? IS_TRUTH : IS_NUMBER;
		break;
	default:
		err = no_text(m, at);
		m->ntypes--;
		err = err ? err : no_text(m, at);
		types[-1] = IS_NUMBER;
	}
	emit(m, op, 0);
	return err;
}

static int binary(struct maker *m, const char *at, enum op op)
{
	enum level at_level = level(op);
	int err = 0;

	while (!err && m->nops && level(m->ops[m->nops - 1].op) >= at_level) {
		if (level(m->ops[m->nops - 1].op) == at_level && (at_level == LEVEL_EQUAL || at_level == LEVEL_ORDER))
			return refuse(m, at, "one comparison after another: put && between them, or parentheses");
		err = settle(m);
	}
	if (!err)
		err = wait(m, at, op);
	if (err || at_level > LEVEL_AND)
		return err;
	err = no_text(m, at);
	m->ntypes--;
	emit(m, op, 0);
	return err;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool begins_name(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

/* Of a name that is not in backquotes: those may have a minus, too. */
static bool is_in_name(const struct maker *m, const char *p)
{
	return p < m->end && (begins_name(*p) || is_digit(*p) || *p == '.');
}

static void skip_blanks(struct maker *m)
{
	while (m->p < m->end && *m->p == ' ')
		m->p++;
}

static bool take(struct maker *m, char c)
{
	skip_blanks(m);
	if (m->p == m->end || *m->p != c)
		return false;
	m->p++;
	return true;
}

static int take_number(struct maker *m)
{
	const char *at = m->p;
	__u32 part = 0, unit = ONE;
	__s64 whole = 0;
	bool fits = true;

	for (; m->p < m->end && is_digit(*m->p); m->p++)
		fits = fits && !__builtin_mul_overflow(whole, 10, &whole) && !__builtin_add_overflow(whole, *m->p - '0', &whole);
	if (m->p + 1 < m->end && *m->p == '.' && is_digit(m->p[1])) {
		for (m->p++; m->p < m->end && is_digit(*m->p); m->p++) {
			unit /= 10;
			fits = fits && unit;
			part += (*m->p - '0') * unit;
		}
	}
	if (!fits || is_in_name(m, m->p))
		return refuse(m, at, "expected a number as 12 or 0.75: up to 9223372036854775807, with up to nine places");
	push(m, CONST, pool(m, number(whole, part)), IS_NUMBER);
	return 0;
}

/* From the quote at @p to the next one. */
static int take_quoted(struct maker *m, const char **s, size_t *len)
{
	const char *close = memchr(m->p + 1, *m->p, m->end - m->p - 1);

	if (!close)
		return refuse(m, m->p, "this quote is not closed");
	*s = m->p + 1;
	*len = close - *s;
	m->p = close + 1;
	return 0;
}

/* event.NAME or NAME, in which ` quotes a name that is not of letters, digits, _ and . alone, or that of something else. */
static int take_name(struct maker *m, const char **name, size_t *len, bool *event, bool *quoted)
{
	const char *at = m->p;

	*event = m->end - at >= 6 && !memcmp(at, "event.", 6);
	if (*event)
		m->p += 6;
	*quoted = m->p < m->end && *m->p == '`';
	if (*quoted) {
		if (take_quoted(m, name, len))
			return -EINVAL;
		return *len && *len <= KECHO_NAME_MAX ? 0 : refuse(m, at, "expected an attribute's name, of up to 64 bytes");
	}
	*name = m->p;
	if (m->p < m->end && begins_name(*m->p))
		while (is_in_name(m, m->p))
			m->p++;
	*len = m->p - *name;
	if (!*len || *len > KECHO_NAME_MAX)
		return refuse(m, at, *event ? "expected an attribute's name after event." :
					      "expected an attribute's name, of up to 64 bytes");
	if (m->end - m->p > 1 && m->p[0] == '-' && is_in_name(m, m->p + 1))
		return refuse(m, at, "put blanks around a minus that subtracts, or backquotes around a name with a minus");
	return 0;
}

static int take_attr(struct maker *m)
{
	bool event, quoted, has = false;
	const char *at = m->p, *name;
	size_t len, i;

	if (take_name(m, &name, &len, &event, &quoted))
		return -EINVAL;
	if (!event && !quoted && len == 3 && !memcmp(name, "has", 3) && take(m, '(')) {
		has = true;
		skip_blanks(m);
		at = m->p;
		if (take_name(m, &name, &len, &event, &quoted))
			return -EINVAL;
		if (!take(m, ')'))
			return refuse(m, m->p, "expected the ) of has()");
	}
	for (i = 0; !quoted && i < sizeof(built_in) / sizeof(built_in[0]); i++) {
		const char *full = event ? name - 6 : name;
		size_t full_len = event ? len + 6 : len;

		if (strlen(built_in[i].name) != full_len || memcmp(built_in[i].name, full, full_len))
			continue;
		if (has)
			return refuse(m, at, "this is always there; in backquotes it is an attribute's name");
		push(m, built_in[i].op, 0, built_in[i].type);
		return 0;
	}
	i = pool_text(m, name, len);
	if (has)
		push(m, event ? EVENT_HAS : HAS, i, IS_TRUTH);
	else
		push(m, event ? EVENT_ATTR : ATTR, i, ANY);
	return 0;
}

/* A value, with what stands before it. */
static int take_value(struct maker *m)
{
	const char *s;
	size_t len;

	for (;;) {
		skip_blanks(m);
		s = m->p;
		if (s == m->end)
			break;
		if (is_digit(*s))
			return take_number(m);
		if (begins_name(*s) || *s == '`')
			return take_attr(m);
		if (*s == '\'' || *s == '"') {
			if (take_quoted(m, &s, &len))
				return -EINVAL;
			push(m, CONST, pool_text(m, s, len), IS_TEXT);
			return 0;
		}
		if (*s != '(' && *s != '!' && *s != '-')
			break;
		m->p++;
		if (wait(m, s, *s == '(' ? PAREN : *s == '!' ? NOT : MINUS))
			return -EINVAL;
	}
	return refuse(m, s, "expected a number, a text in quotes, an attribute's name, has(), !, - or (");
}

/* What may stand between values. At the end of the text -ENODATA. */
static int take_operator(struct maker *m)
{
	const char *at;
	size_t i, len;

	while (take(m, ')')) {
		at = m->p - 1;
		while (m->nops && m->ops[m->nops - 1].op != PAREN)
			if (settle(m))
				return -EINVAL;
		if (!m->nops--)
			return refuse(m, at, "there is no ( for it");
	}
	at = m->p;
	if (at == m->end)
		return -ENODATA;
	for (i = 0; i < sizeof(operators) / sizeof(operators[0]); i++) {
		len = strlen(operators[i].text);
		if ((size_t)(m->end - at) < len || memcmp(at, operators[i].text, len))
			continue;
		m->p += len;
		return binary(m, at, operators[i].op);
	}
	return refuse(m, at, "expected || && == != ^= < <= > >= + - * / or )");
}

static int make(struct maker *m)
{
	int err;

	do {
		err = take_value(m);
		if (!err)
			err = take_operator(m);
	} while (!err);
	if (err != -ENODATA)
		return err;
	for (err = 0; !err && m->nops; ) {
		if (m->ops[m->nops - 1].op == PAREN)
			return refuse(m, m->ops[m->nops - 1].at, "this ( is not closed");
		err = settle(m);
	}
	return err ? err : no_text(m, m->start);
}

static int setup(struct kecho_filter *f, const void *args, size_t len, void **config)
{
	struct maker m = { .f = f };
	struct kecho_attr a;
	__u32 pos = 0;

	m.c = kecho_filter_alloc(sizeof(*m.c));
	if (!m.c)
		return -ENOMEM;
	*config = m.c;
	while (kecho_attr_next(args, len, &pos, &a)) {
		if (a.name_len != 4 || memcmp(a.name, "expr", 4) || a.type != KECHO_ATTR_STRING)
			return kecho_filter_refuse(f, "takes expr='EXPRESSION', in quotes");
		m.start = m.p = a.str;
		m.end = a.str + a.str_len;
	}
	return m.start ? make(&m) : kecho_filter_refuse(f, "which candidates? expr='load < 0.7 && zone == \"a\"', say");
}

static const struct kecho_filter_ops ops = {
	.name = "expr", .owner = THIS_MODULE, .state = sizeof(struct state), .setup = setup, .run = run,
};
kecho_filter_module(ops);
MODULE_LICENSE("Dual BSD/GPL");
MODULE_DESCRIPTION("KECho filter: only candidates for which an expression is true");
