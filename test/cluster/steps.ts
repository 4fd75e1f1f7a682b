// What people see: one line for each step, with the time it took.

/** Prints `label …`, does the work, and ends the line with the time (or `failed`). */
export async function step<T>(label: string, work: () => Promise<T> | T): Promise<T> {
  const startedMs = performance.now();
  process.stdout.write(`${label} … `);
  try {
    const answer = await work();
    process.stdout.write(`${secondsSince(startedMs)}\n`);
    return answer;
  } catch (error) {
    process.stdout.write(`failed after ${secondsSince(startedMs)}\n`);
    throw error;
  }
}

export function secondsSince(startedMs: number): string {
  const seconds = (performance.now() - startedMs) / 1000;
  return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
}
