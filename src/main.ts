#!/usr/bin/env node
// The command line: what to run, with which options; signals and exit codes.
import { randomUUID } from 'node:crypto';
import { parseArgs } from 'node:util';

const VERSION = '0.1.0';

const HELP = `poolsmith ${VERSION}: PgBouncer fleets in front of any PostgreSQL, held inside a connection budget

Usage
  poolsmith explain [NAME | NAMESPACE/NAME] [-n NAMESPACE]   every size in force, with its numbers and its reason
  poolsmith plan -f FILE [-n NAMESPACE]                      what applying FILE would do ("-": standard input); exit 1 when it is blocked
  poolsmith pause NAME --for 60s [-n NAMESPACE]              have clients wait instead of failing, up to 10m; it ends by itself
  poolsmith resume NAME [-n NAMESPACE]                       end a pause before its time
  poolsmith operator [options]                               run the operator
  poolsmith version | help

Options of operator
  --namespaces A,B           namespaces to watch (default: all)
  --log-level LEVEL          debug, info, warn or error (default info)
  --leader-elect BOOL        several replicas, one acts (default true)
  --lease-namespace NS       where the Lease is (default: POD_NAMESPACE, else default)
  --lease-name NAME          (default poolsmith)
  --lease-duration, --renew-deadline, --retry-period   (default 15s, 10s, 2s)
  --http-port PORT           /metrics, /healthz, /readyz (default 8080)
  --pooler-image IMAGE       for PoolConfigs that name none (default poolsmith/pgbouncer:1.26.1)
The cluster is the one of KUBECONFIG, else the one this pod runs in.
`;

const OPTIONS = {
  namespace: { type: 'string', short: 'n' },
  file: { type: 'string', short: 'f' },
  for: { type: 'string' },
  help: { type: 'boolean', short: 'h' },
  namespaces: { type: 'string', default: '' },
  'log-level': { type: 'string', default: 'info' },
  'leader-elect': { type: 'string', default: 'true' },
  'lease-namespace': { type: 'string' },
  'lease-name': { type: 'string', default: 'poolsmith' },
  'lease-duration': { type: 'string', default: '15s' },
  'renew-deadline': { type: 'string', default: '10s' },
  'retry-period': { type: 'string', default: '2s' },
  'http-port': { type: 'string', default: '8080' },
  'pooler-image': { type: 'string', default: 'poolsmith/pgbouncer:1.26.1' },
} as const;

class UsageError extends Error {}

async function main(args: readonly string[]): Promise<number> {
  const { values, positionals } = parse(args);
  const [command = 'help', name] = positionals;
  if (values.help === true || command === 'help') {
    process.stdout.write(HELP);
    return 0;
  }
  switch (command) {
    case 'version':
      process.stdout.write(`${VERSION}\n`);
      return 0;
    case 'explain':
      return (await import('./commands.ts')).explain(name, values.namespace);
    case 'plan':
      if (values.file === undefined) throw new UsageError('plan needs -f FILE ("-" reads standard input)');
      return (await import('./commands.ts')).plan(values.file, values.namespace, values['pooler-image']);
    case 'pause': {
      if (name === undefined) throw new UsageError('pause needs the NAME of a PoolConfig');
      const { pause, pauseMs, PauseUsageError } = await import('./pause-command.ts');
      try {
        return await pause(name, values.namespace, pauseMs(values.for));
      } catch (error) {
        throw error instanceof PauseUsageError ? new UsageError(error.message) : error;
      }
    }
    case 'resume':
      if (name === undefined) throw new UsageError('resume needs the NAME of a PoolConfig');
      return (await import('./pause-command.ts')).resume(name, values.namespace);
    case 'operator':
      return operate(values);
    default:
      throw new UsageError(`unknown command "${command}"; poolsmith help lists them`);
  }
}

type Values = ReturnType<typeof parse>['values'];

function parse(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: OPTIONS, allowPositionals: true });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

async function operate(values: Values): Promise<number> {
  const { runOperator } = await import('./operator.ts');
  const { LOG_LEVELS } = await import('./telemetry/logger.ts');
  const logLevel = LOG_LEVELS.find((level) => level === values['log-level']);
  if (logLevel === undefined)
    throw new UsageError(`--log-level is "${values['log-level']}"; it must be one of ${LOG_LEVELS.join(', ')}`);
  if (!['true', 'false'].includes(values['leader-elect']))
    throw new UsageError(`--leader-elect is "${values['leader-elect']}"; it must be true or false`);
  const httpPort = Number(values['http-port']);
  if (!Number.isInteger(httpPort) || httpPort < 1 || httpPort > 65_535)
    throw new UsageError(`--http-port is "${values['http-port']}"; it must be 1 to 65535`);
  const stop = new AbortController();
  for (const signal of ['SIGTERM', 'SIGINT'] as const)
    process.once(signal, () => {
      stop.abort(new Error(signal));
    });
  try {
    await runOperator(
      {
        namespaces: values.namespaces
          .split(',')
          .map((namespace) => namespace.trim())
          .filter((namespace) => namespace !== ''),
        logLevel,
        leaderElect: values['leader-elect'] === 'true',
        leaseNamespace: values['lease-namespace'] ?? process.env['POD_NAMESPACE'] ?? 'default',
        leaseName: values['lease-name'],
        leaseDurationMs: durationMs('lease-duration', values),
        renewDeadlineMs: durationMs('renew-deadline', values),
        retryPeriodMs: durationMs('retry-period', values),
        httpPort,
        poolerImage: values['pooler-image'],
        identity: process.env['POD_UID'] ?? randomUUID(),
        apiAddresses: [process.env['KUBERNETES_SERVICE_HOST'] ?? ''],
      },
      stop.signal,
    );
    return 0;
  } catch (error) {
    if (stop.signal.aborted) return 0;
    throw error;
  }
}

function durationMs(option: 'lease-duration' | 'renew-deadline' | 'retry-period', values: Values): number {
  const match = /^(\d{1,5})(ms|s|m)$/.exec(values[option]);
  if (match === null) throw new UsageError(`--${option} is "${values[option]}"; it must be a duration such as 15s`);
  return Number(match[1]) * { ms: 1, s: 1000, m: 60_000 }[match[2] as 'ms' | 's' | 'm'];
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  const message = error instanceof Error ? error.message : String(error);
  process.stderr.write(`poolsmith: ${message}\n`);
  process.exitCode = error instanceof UsageError ? 2 : 1;
  // Whatever still holds the process open (a watch, a socket) must not keep a failed operator from being restarted.
  if (!(error instanceof UsageError)) process.exit(1);
}
