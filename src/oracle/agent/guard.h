/* The role `agent guard`: keeps the settings of the machine that a run changes, and gives them back however the run ends. */
#ifndef FOLIOSCOPE_GUARD_H
#define FOLIOSCOPE_GUARD_H

/* argv: "guard", state directory, optionally "--no-wait". Exit status: see guard.c. */
int guard_main(int argc, char **argv);
#endif
