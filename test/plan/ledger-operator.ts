// The operator of the ledger's test world: looks, asks the ledger, writes, and may crash or be replaced between any two of these.
import type { Sizes } from '../../src/model/pooler-model.ts';
import { committedOf, stepLedger } from '../../src/plan/ledger.ts';
import type { Cell, GonePod, LedgerStep } from '../../src/plan/ledger.ts';
import { fairShare } from '../../src/sizing/fair-share.ts';
import { sizeOf, sumOf } from '../../src/sizing/sizes.ts';
import { splitEqual } from '../../src/sizing/split-equal.ts';
import type { Annotation, Look, World, Write } from './ledger-world.ts';

/** Parts of the ledger's discipline that a run leaves out, to show that the world would notice. */
export type Omission = 'unsettled' | 'setAside' | 'resourceVersion' | 'verification';

export type Tally = { steps: number; commands: number; restarts: number; refusedStale: number };

export class Operator {
  readonly #world: World;
  readonly #omits: Omission | undefined;
  readonly #check: () => void;
  readonly #tally: Tally;
  /** Lost in a crash: what each pod was committed when last looked at. */
  #remembered = new Map<string, number>();
  #sawServer = false;
  /** Writes of a former leader that may still arrive. */
  #stale: Write[] = [];
  #wants: ReadonlyMap<string, number> = new Map();
  #wanted: number;

  constructor(world: World, check: () => void, tally: Tally, omits: Omission | undefined) {
    this.#world = world;
    this.#check = check;
    this.#tally = tally;
    this.#omits = omits;
    this.#wanted = world.replicas;
    this.changeDemand();
  }

  changeDemand(): void {
    const { databases, shape } = this.#world;
    this.#wants = new Map(databases.map((database) => [database, 1 + this.#world.upTo(shape.budget)]));
  }

  /** Another number of pods, from one to as many as the set-aside was made for. */
  changeScale(): void {
    this.#wanted = 1 + this.#world.upTo(this.#world.shape.extra - 1);
  }

  /** One round; with `honest` all views are complete and nothing interferes. Returns the writes it made. */
  round(honest: boolean): number {
    const look = this.#world.look(honest);
    const step = this.#ask(look);
    this.#remember(look);
    if (this.#scale(step, look)) return 1;
    const writes = this.#writesOf(step, look);
    let done = 0;
    for (const write of writes) {
      if (!honest && this.#world.chance(0.25)) this.#interfere();
      if (!honest && this.#world.chance(0.15)) {
        this.#crash(writes.slice(done));
        return done;
      }
      if (this.#world.write(write)) this.#tally.commands += 1;
      done += 1;
      this.#check();
    }
    this.#reload(look, honest);
    return done;
  }

  /** True when every pod has what it should have, and nothing is open. */
  get settled(): boolean {
    const { live, pods, gone } = this.#world;
    const targets = this.#targets();
    return (
      gone.length === 0 &&
      pods.length === live.length &&
      live.length === this.#wanted &&
      live.every(({ name, annotation }) =>
        this.#world.databases.every(
          (database) =>
            sizeOf(targets.get(name), database) ===
              (sizeOf(annotation?.sizes, database) ?? sizeOf(this.#world.shape.floors, database)) &&
            sizeOf(annotation?.unsettled, database) === undefined,
        ),
      )
    );
  }

  /** A write of a former leader arrives after the new one has put its mark on every pod. */
  deliverStale(): void {
    const write = this.#stale.shift();
    if (write === undefined) return;
    const done = this.#world.write(write, this.#omits !== 'resourceVersion');
    if (!done && write.grows) this.#tally.refusedStale += 1;
    this.#check();
  }

  #interfere(): void {
    this.#world.disturb();
    this.#check();
  }

  /** Memory is gone; what the old process had not yet sent may come later, but the new leader stamps first. */
  #crash(unsent: readonly Write[]): void {
    this.#tally.restarts += 1;
    this.#remembered = new Map();
    this.#sawServer = false;
    // Some of it arrives before the mark, as if the old leader had been quicker.
    const early = this.#world.upTo(unsent.length);
    for (const write of unsent.slice(0, early)) {
      this.#world.write(write);
      this.#check();
    }
    this.#stale = [...this.#stale, ...unsent.slice(early)];
    this.#world.stamp();
  }

  #ask(look: Look): LedgerStep {
    const { shape, replicas, live, uninvited } = this.#world;
    // A pod that was deleted on purpose uses up none of the room for those that come unasked.
    const possible = replicas - live.length + shape.extra - uninvited.length;
    const extraPodsPossible = this.#omits === 'setAside' ? 0 : possible;
    const cells = this.#omits === 'verification' ? look.cells.map(credulous) : look.cells;
    return stepLedger({
      budget: shape.budget,
      cells,
      targets: this.#targets(),
      floors: shape.floors,
      extraPodsPossible,
      gone: this.#gone(look),
    });
  }

  #gone(look: Look): readonly GonePod[] {
    if (look.server) return this.#world.gone.map(({ name, backends }) => ({ pod: name, seenByServer: backends }));
    const present = new Set(this.#world.pods.map(({ name }) => name));
    const lost = [...this.#remembered].filter(([name]) => !present.has(name));
    const known = lost.map(([pod, quarantine]): GonePod => ({ pod, quarantine }));
    return this.#sawServer ? known : [...known, { pod: 'whoever was there before' }];
  }

  #remember(look: Look): void {
    if (look.server) {
      this.#sawServer = true;
      this.#remembered = new Map(this.#world.gone.map(({ name, backends }) => [name, backends]));
    }
    for (const pod of this.#world.pods) {
      const cells = look.cells.filter((cell) => cell.pod === pod.name);
      // Room for the grows of this round, which raise what the pod may leave behind.
      this.#remembered.set(
        pod.name,
        cells.reduce((sum, cell) => sum + committedOf(cell), 0) + this.#world.shape.budget,
      );
    }
  }

  #targets(): ReadonlyMap<string, Sizes> {
    const { shape, live, databases } = this.#world;
    const holders = live.slice(0, this.#wanted);
    const members = databases.map((name) => ({
      name,
      weight: 1,
      floor: this.#wanted * (sizeOf(shape.floors, name) ?? 1),
      want: this.#wants.get(name) ?? 1,
    }));
    const result = fairShare(shape.budget - shape.extra * sumOf(shape.floors), members);
    if (!result.feasible) throw new Error('the world was made too small');
    const coming = Array.from({ length: this.#wanted - holders.length }, (_, index) => ({ name: `~${index}` }));
    const splits = databases.map((database, index) => {
      const pods = holders.map(({ name, annotation }) => ({ name, now: sizeOf(annotation?.sizes, database) }));
      return { database, split: splitEqual(result.shares.get(database) ?? 0, [...pods, ...coming], index) };
    });
    return new Map(
      live.map(({ name }) => [
        name,
        Object.fromEntries(splits.map(({ database, split }) => [database, split.get(name) ?? 1])),
      ]),
    );
  }

  /** Creates a pod once its floors are free; deletes one once it has given up all but its floors. */
  #scale(step: LedgerStep, look: Look): boolean {
    const { shape, replicas, live } = this.#world;
    const floors = sumOf(shape.floors);
    if (replicas < this.#wanted && step.free >= floors) {
      this.#world.replicas += 1;
      this.#check();
      return true;
    }
    const victim = live[this.#wanted];
    if (victim === undefined || replicas <= this.#wanted) return false;
    const held = look.cells.filter((cell) => cell.pod === victim.name);
    if (held.reduce((sum, cell) => sum + committedOf(cell), 0) > floors) return false;
    this.#world.dismiss(victim);
    this.#check();
    return true;
  }

  #writesOf(step: LedgerStep, look: Look): readonly Write[] {
    const changed = new Set([...step.changes, ...step.settled].map(({ pod }) => pod));
    const writes = [...changed].map((pod): Write => {
      const cells = look.cells.filter((cell) => cell.pod === pod);
      const annotation = this.#annotate(cells, step);
      const grows = step.changes.some((change) => change.pod === pod && change.kind === 'grow');
      return { pod, resourceVersion: look.resourceVersions.get(pod) ?? -1, annotation, grows };
    });
    // Any order must do.
    return writes
      .map((write) => ({ write, turn: this.#world.random() }))
      .sort((a, b) => a.turn - b.turn)
      .map(({ write }) => write);
  }

  #annotate(cells: readonly Cell[], step: LedgerStep): Annotation {
    const sizes: Record<string, number> = {};
    const unsettled: Record<string, number> = {};
    for (const cell of cells) {
      const isThis = (other: { pod: string; database: string }): boolean =>
        other.pod === cell.pod && other.database === cell.database;
      const change = step.changes.find(isThis);
      sizes[cell.database] = change?.to ?? cell.granted;
      const standing = step.settled.some(isThis) ? undefined : cell.unsettled;
      const open = change === undefined ? standing : change.unsettled;
      if (open !== undefined && this.#omits !== 'unsettled') unsettled[cell.database] = open;
    }
    return { sizes, unsettled };
  }

  #reload(look: Look, honest: boolean): void {
    for (const { name } of this.#world.pods) {
      if (!honest && this.#world.chance(0.4)) continue;
      this.#world.reload(name, look.server);
      this.#check();
    }
  }
}

/** A cell as one would take it who believes that a shrink is done when it is commanded. */
function credulous(cell: Cell): Cell {
  const { granted } = cell;
  return cell.unsettled === undefined
    ? cell
    : { ...cell, inForce: granted, seenByPooler: granted, seenByServer: granted };
}
