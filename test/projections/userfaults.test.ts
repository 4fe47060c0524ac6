// Who sleeps in a userfault: what the projection tells, from the start and from a state in the middle.
import { describe, expect, it } from 'vitest';
import type { Userfaults } from '../../projections/userfaults.js';
import { userfaults, viewOf } from '../../projections/userfaults.js';
import { foldEvent } from '../../projections/projection.js';
import { apply } from '../../reducers/index.js';
import { initialState } from '../../reducers/state.js';
import { behavioursOf } from '../../src/kernel/behaviours.js';
import { runOperations } from '../support/projected.js';
import { parseWorkload } from '../support/workload.js';

const THREAD = 'clone(flags=CLONE_VM|CLONE_FILES|CLONE_SIGHAND|CLONE_THREAD)';
const run = (text: string): ReturnType<typeof runOperations> =>
  runOperations(parseWorkload(text), behavioursOf('6.18'));
const HANG = `
1 mmap(0x20000000, 0x4000, RW, PRIV|ANON|FIXED, -1, 0) = A
1 store(A, 1)
1 userfaultfd() = U
1 ioctl(U, UFFDIO_REGISTER, A, 0x4000, MISSING|WP) = 0
1 ioctl(U, UFFDIO_WRITEPROTECT, A, 0x1000, WP) = 0
1 ${THREAD} = 2
1 ${THREAD} = 3
1 fork() = 4
2 store(A, 2) <unfinished ...>
3 load(A+0x1000) <unfinished ...>
1 read(U, {event=UFFD_EVENT_PAGEFAULT, flags=2|1, address=A}, 32) = 32`;

/** Folds a run, through save and load after every event where `reload`. */
function folded(text: string, reload = false): Userfaults {
  const { events, owners, operations } = run(text);
  let view = userfaults.init();
  events.forEach((event, i) => {
    const id = owners[i] as number;
    const operation = operations[id];
    if (reload) view = userfaults.load(JSON.parse(JSON.stringify(userfaults.save(view))));
    userfaults.operation?.(view, operation === undefined ? null : { id, ...operation });
    foldEvent(userfaults, view, event, i);
  });
  return view;
}
const withoutSince = (view: Userfaults): unknown =>
  viewOf(view).map((each) => ({ ...each, waits: each.waits.map((wait) => ({ ...wait, since: null })) }));

describe('userfaults', () => {
  it('tells who waits, for what, since when, and what would end it', () => {
    const [queue, ...more] = viewOf(folded(HANG));
    expect(more).toEqual([]);
    expect(queue?.monitors).toEqual([
      { tgid: 1, fd: 3 },
      { tgid: 4, fd: 3 },
    ]);
    expect(queue?.waits).toMatchObject([
      { task: 3, addr: 0x20001000, access: 'read of a missing page', read: false, since: { line: 11 } },
      { task: 2, addr: 0x20000000, access: 'write to a protected page', read: true, since: { line: 10 } },
    ]);
    expect(queue?.waits.map(({ endedBy }) => endedBy[0])).toEqual(['UFFDIO_COPY', 'UFFDIO_WRITEPROTECT with mode 0']);
  });
  it('tells a page that its file has from one that is missing', () => {
    const [queue] = viewOf(
      folded(`
1 memfd_create("m", 0) = 3
1 ftruncate(3, 0x2000) = 0
1 mmap(0x20000000, 0x2000, RW, SH|FIXED, 3, 0) = F
1 store(F, 1)
1 mmap(0x30000000, 0x2000, RW, SH|FIXED, 3, 0) = A
1 userfaultfd() = U
1 ioctl(U, UFFDIO_REGISTER, A, 0x2000, MISSING|MINOR) = 0
1 ${THREAD} = 2
1 ${THREAD} = 3
2 store(A, 2) <unfinished ...>
3 load(A+0x1000) <unfinished ...>`),
    );
    expect(queue?.waits.map(({ access, endedBy }) => [access, endedBy[0]])).toEqual([
      ['write to a page that is not mapped', 'UFFDIO_CONTINUE'],
      ['read of a missing page', 'UFFDIO_COPY'],
    ]);
  });
  it.each([
    ['1 ioctl(U, UFFDIO_ZEROPAGE, A+0x1000, 0x1000, 0) = 0', [2]],
    ['1 ioctl(U, UFFDIO_ZEROPAGE, A+0x1000, 0x1000, DONTWAKE) = 0', [3, 2]],
    ['1 ioctl(U, UFFDIO_WRITEPROTECT, A, 0x1000, 0) = 0', [3]],
    // Woken, both find what they found before, and sleep again.
    ['1 ioctl(U, UFFDIO_WAKE, A, 0x4000) = 0', [2, 3]],
  ])('%s leaves those asleep whom it does not wake', (line, asleep) => {
    const tasks = viewOf(folded(`${HANG}\n${line}\n`))[0]?.waits.map(({ task }) => task);
    expect(new Set(tasks)).toEqual(new Set(asleep));
  });
  it('is empty when nobody has the descriptor any more', () => {
    expect(viewOf(folded(`${HANG}\n1 close(U) = 0\n4 close(U) = 0\n`))).toEqual([]);
  });
  it('goes on after save and load, and from any state', () => {
    expect(viewOf(folded(HANG, true))).toEqual(viewOf(folded(HANG)));
    const { events } = run(HANG);
    const state = initialState();
    const view = userfaults.init();
    events.forEach((event, i) => {
      apply(state, event);
      foldEvent(userfaults, view, event, i);
      expect(withoutSince(userfaults.begin(state)), `event ${i}`).toEqual(withoutSince(view));
    });
  });
});
