// SPDX-License-Identifier: GPL-2.0
/* The screen of kecho top. */
#include "top.h"

#include <errno.h>
#include <string.h>
#include <curses.h>

static void draw(const struct top *t, json_t *look, int *first)
{
	char *text = NULL, *rest, *line;
	bool header = true;
	int y = -*first, n = 0;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return;
	top_sort(look, top_sorts[t->sort]);
	top_print(out, look, true);
	fclose(out);
	for (rest = text; (rest = strchr(rest, '\n')); rest++)
		n++;
	/* What fits is not scrolled. */
	if (*first > n + 1 - LINES)
		*first = n + 1 > LINES ? n + 1 - LINES : 0;
	y = 1 - *first;
	erase();
	for (rest = text; (line = strsep(&rest, "\n")); y++) {
		if (header)
			attron(A_BOLD);
		if (y > 0)
			mvaddnstr(y, 0, line, COLS);
		attroff(A_BOLD);
		header = !*line;
	}
	free(text);
	if (asprintf(&text, " kecho %s: %s, every %.4g s, by %s   q: quit  s: sort ", json_string_value(json_object_get(look, "node")) ?: "-",
		     node_dir(), t->delay_ms / 1e3, top_sorts[t->sort]) < 0)
		die("%m");
	attron(A_REVERSE);
	mvaddnstr(0, 0, text, COLS);
	attroff(A_REVERSE);
	move(0, 0);
	free(text);
	refresh();
}

/* True: quit. Waits until it is time to look again. */
static bool keys(struct top *t, json_t *look, int *first)
{
	int64_t next = deadline_in(t->delay_ms);
	int left;

	for (;;) {
		left = remaining_ms(next);
		timeout(left);
		switch (getch()) {
		case 'q':
			return true;
		case 's':
			if (!top_sorts[++t->sort])
				t->sort = 0;
			break;
		case KEY_DOWN:
			++*first;
			break;
		case KEY_UP:
			*first -= *first > 0;
			break;
		case ERR:
			if (!remaining_ms(next))
				return false;
			break;
		}
		draw(t, look, first);
	}
}

bool top_screen(struct top *t)
{
	json_t *look = top_look(t);
	bool quit = !look;
	int first = 0, err = errno;

	if (!look)
		return false;
	initscr();
	cbreak();
	noecho();
	curs_set(0);
	keypad(stdscr, true);
	while (!quit) {
		draw(t, look, &first);
		quit = (t->looks > 0 && !--t->looks) || keys(t, look, &first);
		json_decref(look);
		look = quit ? NULL : top_look(t);
		if (!quit && !look) {
			err = errno;
			endwin();
			errno = err;
			return false;
		}
	}
	endwin();
	return true;
}
