// All conformance scripts: what the simulated PgBouncer claims of the real one.
import { CLIENT_SCRIPTS } from './client-scripts.ts';
import { CONFIGURATION_SCRIPTS } from './configuration-scripts.ts';
import { SIZE_SCRIPTS } from './size-scripts.ts';
import type { Script } from './subject.ts';

export const SCRIPTS: readonly Script[] = [...CONFIGURATION_SCRIPTS, ...SIZE_SCRIPTS, ...CLIENT_SCRIPTS];
