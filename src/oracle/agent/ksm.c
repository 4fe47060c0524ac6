/*
 * KSM in steps. ksmd does one full scan whenever it wakes, given enough pages_to_scan; it sleeps in one of two places. While run is 0 it waits for
 * that to change; with run 1 it sleeps sleep_millisecs, which a change of that number ends. So a scan begins with run 1, and with run 0 no scan
 * can begin; writing run waits for a scan to end. sleep_millisecs is so long that no second scan begins by itself.
 */
#define _GNU_SOURCE
#include "agent.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#define KSM "/sys/kernel/mm/ksm/"
#define SLEEP_MS 1000000
/* What a scan may take before we look whether ksmd missed the call, and how often that may be. */
#define SCAN_US 2000
#define POLL_US 25
#define TRIES_MAX 500

static pid_t keeper;
int ksm_used;

static int write_number(const char *path, long value)
{
	char text[32];
	int fd = open(path, O_WRONLY), n = snprintf(text, sizeof(text), "%ld", value), ok;

	if (fd < 0)
		return -1;
	ok = write(fd, text, (size_t)n) == n;
	close(fd);
	return ok ? 0 : -1;
}

static long read_number(const char *path)
{
	char text[32] = "";
	int fd = open(path, O_RDONLY);

	if (fd < 0)
		return -1;
	if (read(fd, text, sizeof(text) - 1) < 0)
		text[0] = 0;
	close(fd);
	return atol(text);
}

static long full_scans(void)
{
	return read_number(KSM "full_scans");
}

/* ksmd goes to where it waits for run. */
static void settle(void)
{
	static int other;

	write_number(KSM "run", 0);
	write_number(KSM "sleep_millisecs", SLEEP_MS + (other ^= 1));
}

/* A process with mergeable memory and no page in it: without any such process ksmd does not scan at all, and counts no scan. */
static void keep_awake(void)
{
	char *at;

	if (keeper > 0)
		return;
	fflush(stdout);
	keeper = fork();
	if (keeper != 0)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	close_range(0, ~0U, 0);
	at = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	madvise(at, PAGE, MADV_MERGEABLE);
	for (;;)
		pause();
}

/* For a new workload: nothing merged, nothing known of any page. */
int ksm_start(void)
{
	ksm_used = 1;
	keep_awake();
	settle();
	if (write_number(KSM "use_zero_pages", 0) < 0 || write_number(KSM "run", 2) < 0 || write_number(KSM "run", 0) < 0)
		return -1;
	return 0;
}

void ksm_end(void)
{
	if (keeper > 0)
		kill(keeper, SIGKILL);
}

int ksm_use_zero_pages(int on)
{
	return write_number(KSM "use_zero_pages", on);
}

/* One full scan, and no more. */
static int scan_once(void)
{
	long before = full_scans();

	for (int tries = 0; tries < TRIES_MAX; tries++) {
		write_number(KSM "run", 1);
		for (int us = 0; us < SCAN_US && full_scans() == before; us += POLL_US)
			usleep(POLL_US);
		settle();
		if (full_scans() != before)
			return full_scans() == before + 1 ? 0 : -1;
		usleep(POLL_US);
	}
	return -1;
}

int ksm_scan(int scans)
{
	while (scans-- > 0)
		if (scan_once() < 0)
			return -1;
	return 0;
}

/* K task rmap_items zero_pages merging_pages */
void ksm_print_task(int i)
{
	char path[64], text[256] = "";
	long values[3] = {0};
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/ksm_stat", tasks[i].pid);
	fd = open(path, O_RDONLY);
	if (fd < 0)
		return;
	if (read(fd, text, sizeof(text) - 1) > 0)
		sscanf(text, "ksm_rmap_items %ld ksm_zero_pages %ld ksm_merging_pages %ld", &values[0], &values[1], &values[2]);
	close(fd);
	printf("K %d %ld %ld %ld\n", i, values[0], values[1], values[2]);
}

/* M pages_shared pages_sharing pages_unshared ksm_zero_pages */
void ksm_print_machine(void)
{
	printf("M %ld %ld %ld %ld\n", read_number(KSM "pages_shared"), read_number(KSM "pages_sharing"),
	       read_number(KSM "pages_unshared"), read_number(KSM "ksm_zero_pages"));
}
