// Fields that one side cannot see, and why. Everything else that only one side shows is a mistake of ours, and counted as such.
import type { Counts } from './compare.js';

const REASONS: Readonly<Record<string, string>> = {
  'page.content': 'pieces of a file’s page that were copied to elsewhere are not followed',
  'page.anon_exclusive': 'tail pages show the flags of their head unless the kernel’s memory is read',
  'page.writable': 'seen only where the kernel’s memory is read',
  'page.protnone': 'seen only where the kernel’s memory is read',
  'page.dirty': 'seen only where the kernel’s memory is read',
  'page.excl_entry': 'seen only where the kernel’s memory is read',
  'page.level': 'seen only where the kernel’s memory is read',
  'page.order': 'seen only where the kernel’s memory is read',
  'page.large_mapcount': 'seen only where the kernel’s memory is read, of large folios',
  'page.entire_mapcount': 'seen only where the kernel’s memory is read, of large folios',
  'page.pincount': 'seen only where the kernel’s memory is read, of large folios',
  'page.mapped_shared': 'seen only where the kernel’s memory is read, of large folios',
  'page.refcount': 'seen only where the kernel’s memory is read',
  'task.faults': 'faults of the agent’s own memory come in between',
  'operation.ret': 'the model does not know the bytes, or calls the result nothing',
};

/** Comparisons that could not be made, by reason. */
export function exclusions(counts: Counts): Record<string, number> {
  const result: Record<string, number> = {};
  for (const [field, count] of counts.unseen) {
    const reason = `${field}: ${REASONS[field] ?? 'only one side shows it'}`;
    result[reason] = (result[reason] ?? 0) + count;
  }
  return result;
}
