// The scenarios of the hugetlb pool on the kernels that they were told of: every result, every counter.
import { describe, expect, it } from 'vitest';
import { accountingErrors } from '../../projections/accounting.js';
import { SCENARIOS, SCENARIO_KERNELS, workloadOf } from '../support/hugetlb-scenarios.js';
import { runWorkload } from '../support/workload.js';

describe.each(SCENARIO_KERNELS)('the hugetlb pool on %s', (kernel) => {
  const column = SCENARIO_KERNELS.indexOf(kernel);
  const told = SCENARIOS.filter((each) => workloadOf(each, column).includes('check'));
  it.each(told)('$name', (scenario) => {
    const ran = runWorkload(workloadOf(scenario, column), { kernel });
    expect(ran.failed).toEqual([]);
    expect(accountingErrors(ran.run.view)).toEqual([]);
  });
});
