// A fault of a round brought to where it strikes: it waits for something that it can strike, or for its moment in the world.
import type { Clock } from '../../src/runtime/clock.ts';
import type { ArmedFaults } from './armed-faults.ts';
import type { Fault, OperationKind } from './history.ts';
import type { SimWorld } from './sim-world.ts';
import type { OnStrike } from './strikes.ts';

export type Targets = {
  readonly clock: Clock;
  readonly faults: ArmedFaults;
  readonly world: Pick<SimWorld, 'api' | 'plane'>;
  readonly onStrike: OnStrike;
};

export function armFault(fault: Fault, operation: OperationKind, { clock, faults, world, onStrike }: Targets): void {
  const later = (afterMs: number, strike: () => void): void => {
    clock.setTimer(afterMs, () => {
      onStrike(fault.kind, operation, JSON.stringify(fault));
      strike();
    });
  };
  switch (fault.kind) {
    case 'crashBeforeWrite':
    case 'crashAfterWrite':
    case 'crashBeforeCommand':
    case 'crashAfterCommand':
    case 'lostWriteReply':
    case 'lostCommandReply':
      faults.calls.armCounted(fault, operation);
      return;
    case 'apiOutage': {
      const fromMs = clock.monotonicMs() + fault.afterMs;
      faults.calls.armOutage(fromMs, fromMs + fault.forMs, operation);
      return;
    }
    case 'reloadRefused':
    case 'reloadHalfApplied':
    case 'reloadSlow':
      faults.reloads.arm(fault, operation);
      return;
    case 'projectionDelay':
      faults.files.arm(fault.delayMs, fault.forMs, operation);
      return;
    case 'watchLag':
      faults.events.arm(fault.lagMs, fault.forMs, operation);
      return;
    case 'serverOutage':
      later(fault.afterMs, () => {
        for (const server of world.plane.postgres) world.plane.restartPostgres(server, fault.forMs);
      });
      return;
    case 'watchBroken':
      later(fault.afterMs, () => {
        if (fault.historyLost) world.api.expireHistory();
        world.api.breakWatches();
      });
  }
}
