// Freezing finds reducers and listeners that write where they must not. Off outside of tests: it costs ten times the time.
import { setAutoFreeze } from 'immer';
import '../../reducers/index.js';

setAutoFreeze(true);
