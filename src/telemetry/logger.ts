// The operator's log: one JSON line per decision on standard output, a constant message and its fields.
import winston from 'winston';
import type { Log } from '../runtime/log.ts';

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Errors among the fields keep name, message and stack; values of class SecretText print as `***` by themselves. */
export function createLogger(level: LogLevel): Log {
  const logger = winston.createLogger({
    level,
    format: winston.format.combine(winston.format.timestamp(), winston.format.json()),
    // eslint-disable-next-line @typescript-eslint/no-unsafe-class-instance-assignment -- the package's types lose the class
    transports: [new winston.transports.Console()],
  });
  return {
    debug: (message, fields) => void logger.debug(message, withErrors(fields)),
    info: (message, fields) => void logger.info(message, withErrors(fields)),
    warn: (message, fields) => void logger.warn(message, withErrors(fields)),
    error: (message, fields) => void logger.error(message, withErrors(fields)),
  };
}

/** As JSON an Error is nearly empty: its name, message and stack are not enumerable. */
function withErrors(fields: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, withItsWords(value)]));
}

function withItsWords(value: unknown): unknown {
  if (!(value instanceof Error)) return value;
  const { name, message, stack, cause } = value;
  return {
    ...Object.fromEntries(Object.entries(value)),
    name,
    message,
    stack,
    ...(cause === undefined ? {} : { cause: withItsWords(cause) }),
  };
}
