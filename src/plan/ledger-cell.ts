// One entry of the budget ledger: what one pod may hold of one database, seen in the worst light that its facts allow.

/** All counts are connections. Sizes are ≥ 1, because PgBouncer reads 0 as unlimited. */
export type Cell = {
  readonly pod: string;
  readonly database: string;
  /** Size written in the pod's annotation (the boot floor where nothing is written yet), fresh, own writes included. */
  readonly granted: number;
  /** Size by SHOW DATABASES; undefined when the pod cannot be asked. */
  readonly inForce?: number | undefined;
  /** Σ sv_* logins included, from the same reading as `inForce`. */
  readonly seenByPooler?: number | undefined;
  /** PostgreSQL's backends of this pod; undefined when unknown, or read before this container started. */
  readonly seenByServer?: number | undefined;
  /** Old cap, written beside a smaller grant until the shrink is verified. */
  readonly unsettled?: number | undefined;
  /** What a restarted container would take: the largest floor that a boot.ini on this pod's disk may hold. */
  readonly floor: number;
  /** False while nothing may be written to the pod: Terminating, unreachable, or changed a moment ago. */
  readonly canChange: boolean;
  /**
   * The container started anew: true until its live.ini is proved in force again (by its hash) and no backend of the former container can
   * be left.
   */
  readonly poolerRestarted?: boolean | undefined;
  /** It runs another file than the one that was written for it last: an older one, or boot.ini after a refusal. */
  readonly otherFile?: boolean | undefined;
};

/** Connections to count for a cell: the most that it holds or may come to hold with no further consent. */
export function committedOf(cell: Cell): number {
  const seen = Math.max(cell.seenByPooler ?? 0, cell.seenByServer ?? 0);
  const running = (cell.inForce ?? cell.floor) + orphansOf(cell);
  return Math.max(ceilingOf(cell), running, seen);
}

/** The largest size that the pod's files may bring in force. */
export function ceilingOf(cell: Cell): number {
  return Math.max(cell.granted, cell.inForce ?? 0, cell.unsettled ?? 0, cell.floor);
}

/**
 * Backends that outlived the pooler that opened them; they come on top of any size in force. Only after a restart: otherwise the two
 * views differ because they were read at different moments. Unknown views mean that all of them may be there.
 */
export function orphansOf(cell: Cell): number {
  if (cell.poolerRestarted !== true) return 0;
  if (cell.seenByServer === undefined) return Math.max(cell.granted, cell.unsettled ?? 0);
  return Math.max(0, cell.seenByServer - (cell.seenByPooler ?? 0));
}

/**
 * True when an unsettled shrink is proved: the very file that grants the size is in force and nobody sees more than that. A small size in
 * force proves nothing: boot.ini's floor may be the same, while the pod's own file still holds the old size and the next RELOAD brings it back.
 */
export function isVerified(cell: Cell): boolean {
  return (
    cell.poolerRestarted !== true &&
    cell.otherFile !== true &&
    cell.inForce === cell.granted &&
    cell.seenByPooler !== undefined &&
    Math.max(cell.seenByPooler, cell.seenByServer ?? 0) <= cell.granted
  );
}

/**
 * A new size may be written only when the size in force tells which write it comes from; else an old size that happens to equal the new one
 * would pass for its proof. So a shrink waits until the last write is in force, and a grow waits for a shrink under way (it has an old
 * cap beside it); several grows may follow each other, as their sizes differ.
 */
export function mayWrite(cell: Cell, kind: 'shrink' | 'grow'): boolean {
  const { granted, inForce, unsettled } = cell;
  if (!cell.canChange || cell.poolerRestarted === true) return false;
  if (unsettled === undefined && (kind === 'grow' || (inForce !== undefined && inForce > granted))) return true;
  return inForce === granted || (kind === 'grow' && inForce !== undefined && inForce < granted);
}

/**
 * The size that a restarted container can be given back beside its orphans, undefined when that is the whole grant or no more than it has.
 */
export function roomBesideOrphans(cell: Cell): number | undefined {
  if (!cell.canChange || cell.inForce === undefined || cell.poolerRestarted !== true) return undefined;
  const room = committedOf(cell) - orphansOf(cell);
  return room < cell.granted && room > cell.inForce ? room : undefined;
}

/**
 * Whether a restarted container may be told to load its live.ini again: its orphans and the granted size together are within what is
 * committed for it. With orphans, the caller must know that the file already holds `granted`, not an older, larger size.
 */
export function mayRestore(cell: Cell): boolean {
  return cell.granted + orphansOf(cell) <= committedOf(cell);
}
