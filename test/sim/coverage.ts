// Which fault struck during which operation, and how often: the measure of how much a run has tried.
import { FAULTS, OPERATIONS, type FaultKind, type OperationKind } from './history.ts';

/** Times that a fault really struck while an operation was the latest, keyed `fault operation`. */
export type Coverage = Record<string, number>;

export function strike(coverage: Coverage, fault: FaultKind, operation: OperationKind): void {
  const cell = `${fault} ${operation}`;
  coverage[cell] = (coverage[cell] ?? 0) + 1;
}

export function addCoverage(into: Coverage, more: Readonly<Coverage>): void {
  for (const [cell, count] of Object.entries(more)) into[cell] = (into[cell] ?? 0) + count;
}

export function coverageTable(coverage: Readonly<Coverage>): string {
  const width = Math.max(...FAULTS.map((fault) => fault.length));
  const head = `${' '.repeat(width)}  ${OPERATIONS.map((operation) => operation.padStart(13)).join(' ')}`;
  const rows = FAULTS.map((fault) => {
    const counts = OPERATIONS.map((operation) => String(coverage[`${fault} ${operation}`] ?? 0).padStart(13));
    return `${fault.padEnd(width)}  ${counts.join(' ')}`;
  });
  return [head, ...rows].join('\n');
}

/** The emptiest cell: no fault was tried less often than this during any operation. */
export function leastCovered(coverage: Readonly<Coverage>): number {
  return Math.min(...FAULTS.flatMap((fault) => OPERATIONS.map((operation) => coverage[`${fault} ${operation}`] ?? 0)));
}
