// What files in memory can be sealed against: include/uapi/linux/fcntl.h.

/** F_SEAL_* of fcntl(2). */
export const F_SEAL = { SEAL: 1, SHRINK: 2, GROW: 4, WRITE: 8, FUTURE_WRITE: 16, EXEC: 32 } as const;
