// The operator's log: one JSON line per decision on standard output, a constant message and its fields.
import winston from 'winston';
import type { Log } from '../runtime/log.ts';

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Errors among the fields keep name, message and stack; values of class SecretText print as `***` by themselves. */
export function createLogger(level: LogLevel): Log {
  const logger = winston.createLogger({
    level,
    format: winston.format.combine(
      winston.format.timestamp(),
      winston.format.errors({ stack: true }),
      winston.format.json(),
    ),
    // eslint-disable-next-line @typescript-eslint/no-unsafe-class-instance-assignment -- the package's types lose the class
    transports: [new winston.transports.Console()],
  });
  return {
    debug: (message, fields) => void logger.debug(message, { ...fields }),
    info: (message, fields) => void logger.info(message, { ...fields }),
    warn: (message, fields) => void logger.warn(message, { ...fields }),
    error: (message, fields) => void logger.error(message, { ...fields }),
  };
}
