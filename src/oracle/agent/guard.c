/*
 * agent guard DIRECTORY [--no-wait]
 *
 * Changes settings of the machine on command and gives them back when stdin ends, or at SIGTERM, SIGINT, SIGHUP. One at a time: it holds
 * a lock in DIRECTORY. What it changed is in a journal there, written before the change; the guard after one that was killed undoes that
 * first. It stands in a session of its own, so Ctrl-C in the terminal is not for it.
 *
 * Before it takes commands it prints, as they apply,
 *   waiting for PID             another run has the lock (with --no-wait: "held by PID", and it exits with 4)
 *   restored WHAT               undone from the journal of a killed run
 *   failed WHAT: TEXT           could not be undone; stays in the journal
 *   discarded TEXT              a journal that is not applied: damaged, or of an earlier boot
 *   ready
 * Then it reads one command a line; fields are separated by one space, bytes up to space, '%' and DEL in them are written as %XX:
 *   set PATH VALUE              write VALUE into the file; of a file like "always [madvise] never" the word in brackets is kept
 *   swapon PATH BYTES           make a swap file and use it, before any other swap
 *   swapdev PATH BYTES          the same with a block device (of loop) whose bytes are in the file
 *   swapoff PATH                end the use of either
 *   cgroup PATH                 make a control group; at the end its processes move to the group above
 *   remove PATH                 an existing directory to delete at the end, with all in it
 * and answers each with a line "ok" (of set: "ok VALUE", what the file says now) or "error TEXT". At the end: "failed" lines if any.
 * Exit status 0: all undone; 1: not all; 2: usage; 4: cannot have the lock or the directory.
 */
#define _GNU_SOURCE
#include "guard.h"
#include "guard-changes.h"
#include "guard-journal.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static sigset_t ending_signals;

/* ---- undoing ---- */

/* Undoes all, the last first. 0 if all went well, and the journal is gone; otherwise 1, and what is left may be tried again. */
static int undo_all(int tell)
{
	int failed = 0;

	for (size_t i = n_records; i-- > 0;) {
		struct record *record = &records[i];

		record->done = !undo(record);
		if (!record->done) {
			failed = 1;
			say("failed %s %s: %s", record->kind, record->path, problem);
		} else if (tell) {
			say("restored %s %s%s%s", record->kind, record->path, strcmp(record->kind, "set") ? "" : " ",
			    strcmp(record->kind, "set") ? "" : record->value);
		}
	}
	close_journal();
	if (failed) {
		if (keep_undone())
			say("failed journal: %s", strerror(errno));
		return 1;
	}
	while (n_records)
		forget_last();
	if (unlinkat(directory_fd, "journal", 0) && errno != ENOENT) {
		say("failed journal: %s", strerror(errno));
		return 1;
	}
	return 0;
}

/* What a killed run left is undone, unless the journal cannot be trusted. */
static void recover(void)
{
	char *text = read_journal();
	int old = 0, wrong;

	if (!text && errno == ENOENT)
		return;
	wrong = text ? parse_journal(text, &old) : 1;
	free(text);
	if (!wrong && !old) {
		undo_all(1);
		return;
	}
	if (wrong)
		say("discarded a damaged journal (line %d): it is kept as journal.damaged, nothing was restored", wrong);
	else
		say("discarded the journal of an earlier boot");
	for (size_t i = 0; !wrong && i < n_records; i++)
		if (!strcmp(records[i].kind, "swapon") || !strcmp(records[i].kind, "remove"))
			say("discarded %s %s: may still be there", records[i].kind, records[i].path);
	while (n_records)
		forget_last();
	if (wrong ? renameat(directory_fd, "journal", directory_fd, "journal.damaged") : unlinkat(directory_fd, "journal", 0))
		say("failed journal: %s", strerror(errno));
}

/* ---- lock ---- */

static int is_abandoned(void)
{
	struct pollfd in = { .fd = 0, .events = POLLRDHUP };
	struct timespec none = { 0 };

	if (sigtimedwait(&ending_signals, NULL, &none) > 0)
		return 1;
	return poll(&in, 1, 0) > 0 && (in.revents & (POLLHUP | POLLRDHUP | POLLERR | POLLNVAL));
}

static int take_lock(const char *directory, int wait)
{
	char holder[32] = "", pid[32];
	int fd, told = 0;

	directory_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (directory_fd < 0 && errno == ENOENT) {
		if (mkdir(directory, 0755) && errno != EEXIST)
			return set_problem("cannot create %s: %s", directory, strerror(errno));
		directory_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	fd = directory_fd < 0 ? -1 : openat(directory_fd, "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0)
		return set_problem("cannot open %s/lock: %s", directory, strerror(errno));
	/* The descriptor stays open for as long as we live, and holds the lock. */
	while (flock(fd, LOCK_EX | LOCK_NB)) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return set_problem("cannot lock %s/lock: %s", directory, strerror(errno));
		if (!told) {
			ssize_t got = pread(fd, holder, sizeof(holder) - 1, 0);

			holder[got > 0 ? got : 0] = 0;
			say("%s %s", wait ? "waiting for" : "held by", holder);
		}
		told = 1;
		if (!wait || is_abandoned())
			return set_problem("another run holds the lock");
		pause_shortly();
	}
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	if (ftruncate(fd, 0) || pwrite(fd, pid, strlen(pid), 0) < 0)
		return set_problem("cannot write %s/lock: %s", directory, strerror(errno));
	return 0;
}

/* ---- commands ---- */

static void answer(char *line)
{
	char *fields[FIELDS_MAX], now[TEXT_MAX] = "";
	static char escaped[3 * TEXT_MAX + 1];
	int n = split(line, fields), error;

	if (n < 2 || fields[1][0] != '/' || strchr(fields[1], '\n'))
		error = set_problem("not a command with an absolute path");
	else if (!strcmp(fields[0], "set") && n == 3)
		error = command_set(fields[1], fields[2], now);
	else if (!strcmp(fields[0], "swapon") && n == 3)
		error = command_swapon(fields[1], fields[2], 0);
	else if (!strcmp(fields[0], "swapdev") && n == 3)
		error = command_swapon(fields[1], fields[2], 1);
	else if (!strcmp(fields[0], "swapoff") && n == 2)
		error = command_swapoff(fields[1]);
	else if (!strcmp(fields[0], "cgroup") && n == 2)
		error = command_cgroup(fields[1]);
	else if (!strcmp(fields[0], "remove") && n == 2)
		error = command_remove(fields[1]);
	else
		error = set_problem("unknown command");
	if (error) {
		/* Answers are lines, whatever is in a path. */
		for (char *at = problem; *at; at++)
			if (*at == '\n')
				*at = ' ';
		say("error %s", problem);
	} else if (*now) {
		escape(escaped, now);
		say("ok %s", escaped);
	} else {
		say("ok");
	}
}

/* Answers commands until stdin ends or a signal says so. Signals are open only while nothing is being done. */
static void serve(const sigset_t *usual_signals)
{
	static char buffer[LINE_SIZE];
	size_t length = 0;

	for (;;) {
		struct pollfd in = { .fd = 0, .events = POLLIN };
		ssize_t got;
		char *line = buffer, *end;

		if (ppoll(&in, 1, NULL, usual_signals) < 0)
			return;
		got = read(0, buffer + length, sizeof(buffer) - 1 - length);
		if (got <= 0)
			return;
		length += (size_t)got;
		buffer[length] = 0;
		while ((end = memchr(line, '\n', (size_t)(buffer + length - line)))) {
			*end = 0;
			answer(line);
			line = end + 1;
		}
		length -= (size_t)(line - buffer);
		memmove(buffer, line, length);
		if (length == sizeof(buffer) - 1) {
			say("error the line is too long");
			return;
		}
	}
}

static void on_signal(int signal)
{
	(void)signal; /* It has ended ppoll. */
}

int guard_main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_signal };
	sigset_t usual;
	int wait = argc != 3 || strcmp(argv[2], "--no-wait");

	if (argc < 2 || argc > 3 || (argc == 3 && wait)) {
		fprintf(stderr, "guard DIRECTORY [--no-wait]\n");
		return 2;
	}
	setsid();
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&ending_signals);
	sigaddset(&ending_signals, SIGTERM);
	sigaddset(&ending_signals, SIGINT);
	sigaddset(&ending_signals, SIGHUP);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	sigemptyset(&usual);
	sigprocmask(SIG_BLOCK, &ending_signals, NULL);
	if (take_lock(argv[1], wait)) {
		say("error %s", problem);
		return 4;
	}
	/* Paths are absolute from here on; nobody's directory should be kept busy. */
	if (chdir("/"))
		say("failed chdir: %s", strerror(errno));
	recover();
	say("ready");
	serve(&usual);
	return undo_all(0);
}
