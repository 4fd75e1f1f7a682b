// All scripts, in the order in which they are played.
import { END_SCRIPTS } from './end-scripts.ts';
import { POD_SCRIPTS } from './pod-scripts.ts';
import type { Script } from './script.ts';
import { WRITE_SCRIPTS } from './write-scripts.ts';

export const SCRIPTS: readonly Script[] = [...WRITE_SCRIPTS, ...END_SCRIPTS, ...POD_SCRIPTS];
