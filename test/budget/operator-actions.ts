// What the operator decided about a fleet, from its log; a killed container's log is read too.
import { OPERATOR_NAMESPACE, operatorPods } from '../support/install.ts';
import { tryKubectl } from '../support/kubectl.ts';
import type { OperatorAction } from './recording.ts';

type Line = Readonly<Record<string, unknown>>;

/** In the order of time; empty where the log can't be read. */
export async function operatorActions(since: Date, namespace: string): Promise<readonly OperatorAction[]> {
  const names = (await operatorPods().catch(() => [])).map(({ metadata }) => metadata.name);
  const logs = names.flatMap((name) =>
    [[], ['--previous']].map(async (which) => {
      const { stdout } = await tryKubectl(['logs', '-n', OPERATOR_NAMESPACE, name, ...which]);
      return stdout.split('\n').filter((line) => line.startsWith('{'));
    }),
  );
  return (await Promise.all(logs))
    .flat()
    .map((line) => JSON.parse(line) as Line)
    .map((line) => ({ atMs: Date.parse(String(line['timestamp'])), text: textOf(line), line }))
    .filter(({ atMs, line }) => atMs >= since.getTime() && isAbout(line, namespace))
    .map(({ atMs, text }) => ({ atMs, text }))
    .sort((a, b) => a.atMs - b.atMs);
}

function isAbout({ pool, message }: Line, namespace: string): boolean {
  return String(pool).startsWith(`${namespace}/`) || message === 'leading';
}

function textOf({ message, kind, why, error }: Line): string {
  return [message, kind, why, error].flatMap((part) => (typeof part === 'string' ? [part] : [])).join(': ');
}
