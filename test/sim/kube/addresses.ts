// The addresses of pods: few, so that a new pod soon bears the address of one that is gone.

export class Addresses {
  readonly #free: string[];
  readonly #random: () => number;

  constructor(addresses: readonly string[], random: () => number) {
    this.#free = [...addresses];
    this.#random = random;
  }

  /** @throws when all are in use: then the pool is too small for the history. */
  take(): string {
    const [address] = this.#free.splice(Math.floor(this.#random() * this.#free.length), 1);
    if (address === undefined) throw new Error('while starting a pod: no address is free');
    return address;
  }

  giveBack(address: string): void {
    if (!this.#free.includes(address)) this.#free.push(address);
  }
}

/** `10.244.0.2` and so on. */
export function podAddresses(count: number): readonly string[] {
  return Array.from({ length: count }, (_, index) => `10.244.${Math.floor(index / 250)}.${(index % 250) + 2}`);
}
