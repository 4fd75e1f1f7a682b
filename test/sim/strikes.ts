// The faults of a round, armed and waiting for their moment: decides the fate of every call and knows which fault struck.
import type { Call, Fate } from './contracts.ts';
import type { Fault, FaultKind, OperationKind } from './history.ts';
import type { SimOperator } from './sim-operator.ts';

type Counted = Extract<Fault, { nth: number }>;
type Armed = { readonly fault: Counted; readonly operation: OperationKind; left: number };
type Hold = {
  readonly operator: SimOperator;
  left: number;
  readonly forMs: number;
  readonly onStopped: () => void;
};
type Outage = { readonly fromMs: number; readonly untilMs: number; readonly operation: OperationKind; struck: boolean };

/** A fault has really had an effect. `operation`: the one that it was armed with. */
export type OnStrike = (fault: FaultKind, operation: OperationKind, what: string) => void;

export type StrikesOptions = {
  readonly random: () => number;
  readonly nowMs: () => number;
  readonly onStrike: OnStrike;
  /** The operator dies now; another is to start after `awayMs`. */
  readonly onCrash: (operator: SimOperator, awayMs: number) => void;
};

/** Events and leases are nothing that a fleet depends on. */
const UNIMPORTANT = /^(?:Event|Lease)\b/;

export class Strikes {
  readonly #options: StrikesOptions;
  #armed: Armed[] = [];
  #apiOutages: Outage[] = [];
  #holds: Hold[] = [];
  /** Processes that are stopped, and until when. */
  readonly #stopped = new Map<SimOperator, number>();

  constructor(options: StrikesOptions) {
    this.#options = options;
  }

  armCounted(fault: Counted, operation: OperationKind): void {
    this.#armed.push({ fault, operation, left: fault.nth });
  }

  armOutage(fromMs: number, untilMs: number, operation: OperationKind): void {
    this.#apiOutages.push({ fromMs, untilMs, operation, struck: false });
  }

  /** At its n-th write this operator is stopped as by SIGSTOP: that write arrives when it goes on, after `forMs`. */
  armHold(operator: SimOperator, nth: number, forMs: number, onStopped: () => void): void {
    this.#holds.push({ operator, left: nth, forMs, onStopped });
  }

  /** From here on nothing strikes any more. */
  disarm(): void {
    this.#armed = [];
    this.#apiOutages = [];
    this.#holds = [];
  }

  fateOf(call: Call, operator: SimOperator): Fate {
    const { random } = this.#options;
    const delayMs = latencyMs(call, random);
    const stoppedForMs = (this.#stopped.get(operator) ?? 0) - this.#options.nowMs();
    if (stoppedForMs > 0)
      return { delayMs: stoppedForMs + delayMs, answerDelayMs: delayMs, arrives: true, answer: 'given' };
    const outage = this.#outage(call);
    if (outage !== undefined) return { delayMs: 5 + 40 * random(), arrives: false, answer: 'lost' };
    if (call.writes && !UNIMPORTANT.test(call.target)) {
      const held = this.#hold(call, operator);
      if (held !== undefined) return held;
      const struck = this.#countDown(call);
      if (struck !== undefined) return this.#carryOut(struck, call, operator, delayMs);
    }
    return { delayMs, arrives: true, answer: 'given' };
  }

  #outage(call: Call): Outage | undefined {
    if (call.to !== 'api') return undefined;
    const nowMs = this.#options.nowMs();
    const outage = this.#apiOutages.find(({ fromMs, untilMs }) => nowMs >= fromMs && nowMs < untilMs);
    if (outage !== undefined && !outage.struck) {
      outage.struck = true;
      this.#options.onStrike('apiOutage', outage.operation, `apiOutage at ${call.verb} ${call.target}`);
    }
    return outage;
  }

  #hold(call: Call, operator: SimOperator): Fate | undefined {
    if (call.to !== 'api') return undefined;
    const hold = this.#holds.find((candidate) => candidate.operator === operator);
    if (hold === undefined) return undefined;
    hold.left -= 1;
    if (hold.left > 0) return undefined;
    this.#holds = this.#holds.filter((candidate) => candidate !== hold);
    this.#stopped.set(operator, this.#options.nowMs() + hold.forMs);
    hold.onStopped();
    return { delayMs: hold.forMs, answerDelayMs: 2, arrives: true, answer: 'given' };
  }

  /** The fault whose turn this call is; each call counts for every armed fault of its sort. */
  #countDown(call: Call): Armed | undefined {
    const command = call.to === 'console';
    const sort = this.#armed.filter(({ fault }) => (command ? /Command/ : /Write/).test(fault.kind));
    if (call.to !== 'api' && !command) return undefined;
    for (const armed of sort) armed.left -= 1;
    const due = sort.find(({ left }) => left <= 0);
    if (due !== undefined) this.#armed = this.#armed.filter((armed) => armed !== due);
    return due;
  }

  #carryOut({ fault, operation }: Armed, call: Call, operator: SimOperator, delayMs: number): Fate {
    const { onStrike, onCrash } = this.#options;
    onStrike(fault.kind, operation, `${fault.kind} at ${call.verb} ${call.target}`);
    if (!('awayMs' in fault)) return { delayMs, arrives: true, answer: 'lost' };
    onCrash(operator, fault.awayMs);
    const after = fault.kind === 'crashAfterWrite' || fault.kind === 'crashAfterCommand';
    return { delayMs, arrives: after, answer: 'never' };
  }
}

function latencyMs(call: Call, random: () => number): number {
  if (call.to === 'api') return 1 + 5 * random();
  return call.to === 'console' ? 0.3 + random() : 1 + 3 * random();
}
