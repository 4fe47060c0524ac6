// What holds for every test file: frozen states, and a seed for the property tests.
import fc from 'fast-check';
import { setAutoFreeze } from 'immer';
import '../../reducers/index.js';

// Freezing finds reducers and listeners that write where they must not. Off outside of tests: it costs ten times the time.
setAutoFreeze(true);

// The same commit gives the same answer. FAST_CHECK_SEED takes another seed; `npm run test:properties` draws one for each of its rounds.
fc.configureGlobal({ seed: Number(process.env['FAST_CHECK_SEED'] ?? 20_261_121) });
