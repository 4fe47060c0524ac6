import { describe, expect, it } from 'vitest';
import { accountingErrors } from '../../projections/accounting.js';
import { ranWell, runWorkload } from '../support/workload.js';

const A = '1 mmap(0x10000000000, 0x4000, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS|MAP_FIXED, -1, 0) = A\n';

describe('exit', () => {
  it('gives back every page, table and counter', () => {
    const ran = ranWell(
      `${A}1 store(A, 1, 0x4000)\n1 fork() = 2\n2 store(A, 2)\n2 exit_group(0)\n1 exit_group(0)\nlru_add_drain()`,
    );
    const { view } = ran.run;
    expect(view.mms.filter((mm) => mm !== null)).toEqual([]);
    expect(view.anonVmas.filter((each) => each !== null)).toEqual([]);
    expect(view.memMap.flat().every((page) => page.ref === 0)).toBe(true);
    expect(view.committed).toBe(0);
  });
  it('leaves a zombie that wait4 collects, and then no child', () => {
    const ran = ranWell(
      '1 fork() = 2\n2 exit_group(0)\n1 wait4(-1, NULL, 0, NULL) = 2\n1 wait4(-1, NULL, 0, NULL) = -1 ECHILD',
    );
    expect(ran.run.view.tasks[2]).toBeUndefined();
  });
  it('keeps references until the flush where a recording tells it apart', () => {
    const text = (exit: string): string =>
      `${A}1 store(A, 1)\nlru_add_drain()\n1 fork() = 2\n${exit}\n1 store(A, 2)\n1 tlb_finish_mmu(2)`;
    expect(ranWell(text('2 exit_group(0)')).count('PageReused')).toBe(1);
    expect(ranWell(text('2 exit_mm()')).count('CowPageMapped')).toBe(1);
  });
});

describe('execve', () => {
  it('replaces the address space by one with a stack', () => {
    const ran = ranWell(`${A}1 store(A, 1)\n1 execve("/bin/true", ["true"], []) = 0\n1 load(A) = SIGSEGV`);
    expect(ran.mm(1)).toMatchObject({ stackVm: 33, rss: [0, 1, 0, 0] });
  });
  it('leaves the address space to those who share it', () => {
    ranWell(`${A}1 store(A, 1)\n1 vfork() = 2\n2 execve("/bin/true", ["true"], []) = 0\n1 load(A) = 1`);
  });
  it('charges the caller for the arguments meanwhile', () => {
    const ran = runWorkload(`${A}1 bprm_mm_init(2)`);
    expect(ran.mm(1).rss).toEqual([0, 2, 0, 0]);
    expect(accountingErrors(ran.run.view)).toEqual([]);
    const begun = ranWell(`${A}1 bprm_mm_init(2)\n1 begin_new_exec()\n1 setup_arg_pages(0x7ffffffd0000, 0x22000)`);
    expect(begun.mm(1)).toMatchObject({ stackVm: 34, rss: [0, 2, 0, 0] });
    expect(begun.vmas(1)[0]).toMatchObject({ start: 0x7ffffffd0000, end: 0x7fffffff2000 });
  });
});
