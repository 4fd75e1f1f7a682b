// What happened in one simulated life, line by line in virtual time: what a failing history prints.

export class Story {
  readonly #nowMs: () => number;
  readonly #lines: string[] = [];

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  tell(who: string, what: string): void {
    this.#lines.push(`${(this.#nowMs() / 1000).toFixed(3).padStart(9)}  ${who.padEnd(10)} ${what}`);
  }

  get lines(): readonly string[] {
    return this.#lines;
  }
}
