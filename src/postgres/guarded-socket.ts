// A TCP socket that asks a guard about every address just before it connects, after name resolution, so that no answer can slip past.
import { lookup as resolve } from 'node:dns';
import type { LookupAddress, LookupOptions } from 'node:dns';
import { isIP, Socket } from 'node:net';
import type { AddressGuard } from './address-guard.ts';

/** The address of a host is one that may not be connected to. */
export class ForbiddenAddressError extends Error {
  readonly code = 'EFORBIDDENADDRESS';

  constructor() {
    super('the host resolves to an address that may not be connected to');
    this.name = 'ForbiddenAddressError';
  }
}

type LookupCallback = (error: NodeJS.ErrnoException | null, address: string | LookupAddress[], family?: number) => void;

/** Used by node-postgres, which calls `connect(port, host)`. */
export class GuardedSocket extends Socket {
  readonly #guard: AddressGuard | undefined;
  readonly #lookupName: string | undefined;

  constructor(guard: AddressGuard | undefined, lookupName?: string) {
    super();
    this.#guard = guard;
    this.#lookupName = lookupName;
  }

  // The signatures of the base class are many; the driver uses only this one.
  override connect(...target: unknown[]): this {
    const [port, host] = target;
    const guard = this.#guard;
    if (typeof port !== 'number' || typeof host !== 'string' || guard === undefined) {
      return super.connect(...(target as [number, string]));
    }
    if (isIP(host) !== 0 && !guard(host)) {
      process.nextTick(() => this.destroy(new ForbiddenAddressError()));
      return this;
    }
    return super.connect({ port, host, lookup: guardedLookup(guard, this.#lookupName) });
  }
}

function guardedLookup(guard: AddressGuard, lookupName: string | undefined) {
  return (host: string, options: LookupOptions, answer: LookupCallback): void => {
    resolve(lookupName ?? host, { ...options, all: true }, (error, addresses) => {
      if (error) {
        answer(error, []);
        return;
      }
      const first = addresses[0];
      if (first === undefined || !addresses.every(({ address }) => guard(address))) {
        answer(new ForbiddenAddressError(), []);
      } else if (options.all === true) {
        answer(null, addresses);
      } else {
        answer(null, first.address, first.family);
      }
    });
  };
}
