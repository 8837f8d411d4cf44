// SPDX-License-Identifier: GPL-2.0
/* What is said of the machine, the kernel and our own source. */
#include "bench.h"

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

const char *machine_cpu(void)
{
	static char model[128] = "unknown";
	FILE *info = fopen("/proc/cpuinfo", "re");
	char line[256];

	while (info && fgets(line, sizeof(line), info))
		if (sscanf(line, "model name : %127[^\n]", model) == 1)
			break;
	if (info)
		fclose(info);
	return model;
}

const char *machine_kernel(void)
{
	static struct utsname u;

	uname(&u);
	return u.release;
}

/* Of the repository that this program was built in. */
const char *machine_commit(void)
{
	static const char command[] = "cd \"$(dirname \"$(readlink /proc/$PPID/exe)\")\" && git describe --always --dirty --abbrev=12 2>&-";
	static char commit[64];
	FILE *git = popen(command, "re");

	if (!git || !fgets(commit, sizeof(commit), git))
		strcpy(commit, "unknown");
	if (git)
		pclose(git);
	commit[strcspn(commit, "\n")] = '\0';
	return commit;
}

const char *machine_date(void)
{
	static char date[32];
	time_t t = time(NULL);
	struct tm tm;

	strftime(date, sizeof(date), "%FT%TZ", gmtime_r(&t, &tm));
	return date;
}
