// Names and numbers of errors and signals, x86-64.

const ERRNO_NAMES =
  'EPERM ENOENT ESRCH EINTR EIO ENXIO E2BIG ENOEXEC EBADF ECHILD EAGAIN ENOMEM EACCES EFAULT ENOTBLK EBUSY EEXIST ' +
  'EXDEV ENODEV ENOTDIR EISDIR EINVAL ENFILE EMFILE ENOTTY ETXTBSY EFBIG ENOSPC ESPIPE EROFS EMLINK EPIPE EDOM ERANGE ' +
  'EDEADLK ENAMETOOLONG ENOLCK ENOSYS ENOTEMPTY ELOOP - ENOMSG EIDRM ECHRNG EL2NSYNC EL3HLT EL3RST ELNRNG EUNATCH ' +
  'ENOCSI EL2HLT EBADE EBADR EXFULL ENOANO EBADRQC EBADSLT - EBFONT ENOSTR ENODATA ETIME ENOSR ENONET ENOPKG EREMOTE ' +
  'ENOLINK EADV ESRMNT ECOMM EPROTO EMULTIHOP EDOTDOT EBADMSG EOVERFLOW ENOTUNIQ EBADFD EREMCHG ELIBACC ELIBBAD ' +
  'ELIBSCN ELIBMAX ELIBEXEC EILSEQ ERESTART ESTRPIPE EUSERS ENOTSOCK EDESTADDRREQ EMSGSIZE EPROTOTYPE ENOPROTOOPT ' +
  'EPROTONOSUPPORT ESOCKTNOSUPPORT EOPNOTSUPP EPFNOSUPPORT EAFNOSUPPORT EADDRINUSE EADDRNOTAVAIL ENETDOWN ENETUNREACH ' +
  'ENETRESET ECONNABORTED ECONNRESET ENOBUFS EISCONN ENOTCONN ESHUTDOWN ETOOMANYREFS ETIMEDOUT ECONNREFUSED EHOSTDOWN ' +
  'EHOSTUNREACH EALREADY EINPROGRESS ESTALE EUCLEAN ENOTNAM ENAVAIL EISNAM EREMOTEIO EDQUOT ENOMEDIUM EMEDIUMTYPE ' +
  'ECANCELED ENOKEY EKEYEXPIRED EKEYREVOKED EKEYREJECTED EOWNERDEAD ENOTRECOVERABLE ERFKILL EHWPOISON';

const SIGNAL_NAMES =
  'SIGHUP SIGINT SIGQUIT SIGILL SIGTRAP SIGABRT SIGBUS SIGFPE SIGKILL SIGUSR1 SIGSEGV SIGUSR2 SIGPIPE SIGALRM SIGTERM ' +
  'SIGSTKFLT SIGCHLD SIGCONT SIGSTOP SIGTSTP SIGTTIN SIGTTOU SIGURG SIGXCPU SIGXFSZ SIGVTALRM SIGPROF SIGWINCH SIGIO ' +
  'SIGPWR SIGSYS';

function numbered(names: string): ReadonlyMap<string, number> {
  const byName = new Map<string, number>();
  names.split(' ').forEach((name, index) => {
    if (name !== '-') byName.set(name, index + 1);
  });
  return byName;
}

/** Error names to numbers, as include/uapi/asm-generic/errno.h has them. */
export const ERRNOS = numbered(ERRNO_NAMES);

/** Signal names to numbers; real-time signals are left out. */
export const SIGNALS = numbered(SIGNAL_NAMES);

const errnoNames = new Map([...ERRNOS].map(([name, number]) => [number, name]));
const signalNames = new Map([...SIGNALS].map(([name, number]) => [number, name]));

/** The name of an error number, or undefined. */
export const errnoName = (errno: number): string | undefined => errnoNames.get(errno);

/** The name of a signal number, or undefined. */
export const signalName = (signal: number): string | undefined => signalNames.get(signal);

/** Whether a word names an error: a known one, or one of the kernel's own such as ERESTARTSYS. */
export const isErrnoName = (word: string): boolean =>
  ERRNOS.has(word) || word === 'ENOTSUP' || word.startsWith('ERESTART');
