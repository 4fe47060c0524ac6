/* What the guard changes. Each command notes in the journal how it is undone before it does anything. */
#ifndef FOLIOSCOPE_GUARD_CHANGES_H
#define FOLIOSCOPE_GUARD_CHANGES_H

#include "guard-journal.h"

/* All return 0, or -1 and `problem`. Paths are absolute. */

/* `now`, of TEXT_MAX bytes, gets what the file says afterwards. */
int command_set(const char *path, const char *value, char *now);
int command_swapon(const char *path, const char *size, int device);
int command_swapoff(const char *path);
int command_cgroup(const char *path);
int command_remove(const char *path);
int undo(const struct record *record);

/* Before something is tried again. */
void pause_shortly(void);
#endif
