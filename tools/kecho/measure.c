// SPDX-License-Identifier: GPL-2.0
/* The load of this host, from /proc and /sys. */
#include "kecho.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "measure.h"

#define POWER "/sys/class/power_supply"

/* Of the lines ``NAME VALUE`` of a file, or ``NAME: VALUE``: those that are there. */
struct entry {
	const char *name;
	uint64_t value;
	bool found;
};

static void read_entries(const char *path, struct entry *entries, int n)
{
	FILE *f = fopen(path, "re");
	unsigned long long value;
	char line[256], name[64];
	int i;

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%63[^ :]%*[ :]%llu", name, &value) != 2)
			continue;
		for (i = 0; i < n; i++) {
			if (!strcmp(name, entries[i].name)) {
				entries[i].value = value;
				entries[i].found = true;
			}
		}
	}
	if (f)
		fclose(f);
}

static void measure_load(struct load *l)
{
	unsigned int whole, cents, whole5, cents5;
	FILE *f = fopen("/proc/loadavg", "re");

	if (f && fscanf(f, "%u.%u %u.%u", &whole, &cents, &whole5, &cents5) == 4) {
		load_set(l, LOAD_1, whole * 100ull + cents);
		load_set(l, LOAD_5, whole5 * 100ull + cents5);
	}
	if (f)
		fclose(f);
}

static void measure_cpu(struct load *l)
{
	FILE *f = fopen("/proc/stat", "re");
	unsigned long long idle, waits;

	load_set(l, LOAD_CPUS, sysconf(_SC_NPROCESSORS_ONLN));
	if (f && fscanf(f, "cpu %*u %*u %*u %llu %llu", &idle, &waits) == 2)
		load_set(l, LOAD_CPU, (idle + waits) * (1000000 / sysconf(_SC_CLK_TCK)));
	if (f)
		fclose(f);
}

static void measure_memory(struct load *l)
{
	struct entry e[] = { { "MemTotal", 0, false }, { "MemAvailable", 0, false } };

	read_entries("/proc/meminfo", e, 2);
	if (e[0].found)
		load_set(l, LOAD_MEM_TOTAL, e[0].value << 10);
	if (e[1].found)
		load_set(l, LOAD_MEM_AVAILABLE, e[1].value << 10);
}

/* What was submitted to block devices, in KiB: layers of them do not count twice. */
static void measure_disk(struct load *l)
{
	struct entry e[] = { { "pgpgin", 0, false }, { "pgpgout", 0, false } };

	read_entries("/proc/vmstat", e, 2);
	if (e[0].found && e[1].found)
		load_set(l, LOAD_DISK, (e[0].value + e[1].value) << 10);
}

static void measure_network(struct load *l)
{
	FILE *f = fopen("/proc/net/dev", "re");
	unsigned long long rx, tx, all_rx = 0, all_tx = 0;
	char line[512], name[64];

	if (!f)
		return;
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, " %63[^:|]: %llu %*u %*u %*u %*u %*u %*u %*u %llu", name, &rx, &tx) != 3 || !strcmp(name, "lo"))
			continue;
		all_rx += rx;
		all_tx += tx;
	}
	fclose(f);
	load_set(l, LOAD_NET_RX, all_rx);
	load_set(l, LOAD_NET_TX, all_tx);
}

static void measure_pressure(struct load *l, enum load_measure m, const char *path)
{
	FILE *f = fopen(path, "re");
	unsigned int whole, cents;

	if (f && fscanf(f, "some avg10=%u.%u", &whole, &cents) == 2)
		load_set(l, m, whole * 100 + cents);
	if (f)
		fclose(f);
}

/* A word of @file of the power supply @name; empty: it has no such file. */
static void read_word(const char *name, const char *file, char word[32])
{
	char path[320];
	FILE *f;

	word[0] = '\0';
	snprintf(path, sizeof(path), POWER "/%s/%s", name, file);
	f = fopen(path, "re");
	if (f && fscanf(f, "%31s", word) != 1)
		word[0] = '\0';
	if (f)
		fclose(f);
}

/* Batteries of the host itself, not of its mouse. */
static void measure_power(struct load *l)
{
	unsigned long long full = 0;
	int batteries = 0, charged = 0, mains = 0;
	DIR *dir = opendir(POWER);
	struct dirent *e;
	char word[32];

	while (dir && (e = readdir(dir))) {
		read_word(e->d_name, "scope", word);
		if (e->d_name[0] == '.' || !strcmp(word, "Device"))
			continue;
		read_word(e->d_name, "type", word);
		if (strcmp(word, "Battery") && strcmp(word, "UPS")) {
			read_word(e->d_name, "online", word);
			mains += !strcmp(word, "1");
			continue;
		}
		batteries++;
		read_word(e->d_name, "capacity", word);
		if (word[0]) {
			charged++;
			full += strtoul(word, NULL, 10);
		}
	}
	if (dir)
		closedir(dir);
	if (batteries)
		load_set(l, LOAD_ON_BATTERY, !mains);
	if (charged)
		load_set(l, LOAD_BATTERY, full / charged);
}

void measure(struct load *l)
{
	l->known = 0;
	measure_load(l);
	measure_cpu(l);
	measure_memory(l);
	measure_disk(l);
	measure_network(l);
	measure_pressure(l, LOAD_PSI_CPU, "/proc/pressure/cpu");
	measure_pressure(l, LOAD_PSI_MEM, "/proc/pressure/memory");
	measure_pressure(l, LOAD_PSI_IO, "/proc/pressure/io");
	measure_power(l);
}
