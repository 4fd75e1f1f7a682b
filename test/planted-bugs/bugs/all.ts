// All planted bugs, in the order in which they are planted.
import type { PlantedBug } from '../planted-bug.ts';
import { CONFIGURATION_BUGS } from './configuration.ts';
import { DRAIN_BUGS } from './drains.ts';
import { HISTORY_BUGS } from './histories.ts';
import { KUBERNETES_BUGS } from './kubernetes.ts';
import { LEADER_BUGS } from './leaders.ts';
import { LEDGER_BUGS } from './ledger.ts';
import { LOST_SERVER_BUGS } from './lost-servers.ts';
import { POD_BUGS } from './pods.ts';
import { SIZING_BUGS } from './sizing.ts';
import { TEXT_BUGS } from './texts.ts';

export const PLANTED_BUGS: readonly PlantedBug[] = [
  ...LEDGER_BUGS,
  ...LOST_SERVER_BUGS,
  ...POD_BUGS,
  ...HISTORY_BUGS,
  ...SIZING_BUGS,
  ...LEADER_BUGS,
  ...CONFIGURATION_BUGS,
  ...TEXT_BUGS,
  ...DRAIN_BUGS,
  ...KUBERNETES_BUGS,
];
