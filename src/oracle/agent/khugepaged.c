/*
 * khugepaged in steps. It sleeps scan_sleep_millisecs between two rounds, and whoever writes that number wakes it; in a round it scans
 * pages_to_scan, or until it has been through all memory once. The number is so long that no round begins by itself, and pages_to_scan so large
 * that a round is a whole one. Who hands it work (memory that is to be huge) wakes it as well: so it may only see pages_to_scan when told.
 */
#define _GNU_SOURCE
#include "agent.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#define DIRECTORY "/sys/kernel/mm/transparent_hugepage/khugepaged/"
#define SLEEP_MS "4294967295"
#define PAGES_OF_A_ROUND "1000000000"
#define PAGES_OTHERWISE "1"
#define HUGE (2 << 20)
#define POLL_US 100
#define WAIT_US 2000000

static pid_t keeper;

static int write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY), ok;

	if (fd < 0)
		return -1;
	ok = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	close(fd);
	return ok ? 0 : -1;
}

static int read_text(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY);
	ssize_t n = -1;

	if (fd >= 0) {
		n = read(fd, text, size - 1);
		close(fd);
	}
	text[n > 0 ? n : 0] = 0;
	return n > 0 ? 0 : -1;
}

static long full_scans(void)
{
	char text[32];

	return read_text(DIRECTORY "full_scans", text, sizeof(text)) < 0 ? -1 : atol(text);
}

/* Its thread: there is none while the settings want no huge pages anywhere. */
static int find_thread(void)
{
	DIR *directory = opendir("/proc");
	struct dirent *entry;
	int found = 0;

	while (directory && !found && (entry = readdir(directory))) {
		char path[300], text[64];

		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		snprintf(path, sizeof(path), "/proc/%s/comm", entry->d_name);
		if (read_text(path, text, sizeof(text)) == 0 && !strcmp(text, "khugepaged\n"))
			found = atoi(entry->d_name);
	}
	if (directory)
		closedir(directory);
	return found;
}

/* Nothing but its sleep between rounds can be interrupted. */
static int is_asleep(int pid)
{
	char path[64], text[256], *at;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	if (read_text(path, text, sizeof(text)) < 0)
		return 0;
	at = strrchr(text, ')');
	return at && at[1] == ' ' && at[2] == 'S';
}

/* A process with a huge page: without any that may have one khugepaged scans nothing, and counts no scan. */
static void keep_awake(void)
{
	char *at;

	if (keeper > 0)
		kill(keeper, SIGKILL);
	fflush(stdout);
	keeper = fork();
	if (keeper != 0)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	close_range(0, ~0U, 0);
	at = mmap(NULL, 2 * HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	at = (char *)(((uintptr_t)at + HUGE - 1) & ~(uintptr_t)(HUGE - 1));
	madvise(at, HUGE, MADV_HUGEPAGE);
	*(volatile char *)at = 1;
	for (;;)
		pause();
}

static int round_of(int pid)
{
	long before = full_scans();

	if (write_text(DIRECTORY "pages_to_scan", PAGES_OF_A_ROUND) < 0 ||
	    write_text(DIRECTORY "scan_sleep_millisecs", SLEEP_MS) < 0)
		return -1;
	for (int us = 0; us < WAIT_US; us += POLL_US) {
		usleep(POLL_US);
		if (full_scans() > before && is_asleep(pid))
			return 0;
	}
	return -1;
}

/* All memory is scanned once, or, where an earlier round had ended in the middle of it, the rest and then all. */
int khugepaged_scan(void)
{
	int pid = find_thread(), result;

	if (pid == 0)
		return 0;
	keep_awake();
	usleep(1000);
	result = round_of(pid);
	if (write_text(DIRECTORY "pages_to_scan", PAGES_OTHERWISE) < 0)
		return -1;
	return result;
}

void khugepaged_end(void)
{
	if (keeper > 0)
		kill(keeper, SIGKILL);
}
