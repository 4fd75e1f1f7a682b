// What the viewer sees: one line for each event with the seconds since the start; colours only on a terminal.
import { styleText } from 'node:util';

type Style = Parameters<typeof styleText>[0];

export class Narrator {
  readonly #startedMs = performance.now();
  readonly #hasColours = process.stdout.isTTY && process.env['NO_COLOR'] === undefined;

  get elapsedSeconds(): number {
    return (performance.now() - this.#startedMs) / 1000;
  }

  /** The beginning of a step, and what is about to be seen. */
  heading(title: string, explanation: string): void {
    console.log(`\n${this.#styled('bold', `── ${title}`)}`);
    if (explanation !== '') console.log(this.#styled('dim', indent(explanation, 12)));
  }

  /** Something that the demo did or saw. */
  say(text: string): void {
    this.#line(text);
  }

  /** A claim that was checked and holds. */
  good(text: string): void {
    this.#line(`${this.#styled('green', '✔')} ${text}`);
  }

  bad(text: string): void {
    this.#line(`${this.#styled('red', '✘')} ${text}`);
  }

  /** A command as the viewer could type it. */
  command(text: string): void {
    this.#line(this.#styled('cyan', `$ ${text}`));
  }

  /** What the operator itself reports meanwhile. */
  event(text: string): void {
    this.#line(this.#styled('dim', `· ${text}`));
  }

  /** Text of another program, as it stands. */
  quote(text: string): void {
    console.log(indent(text.trimEnd(), 14));
  }

  #line(text: string): void {
    console.log(`${`${this.elapsedSeconds.toFixed(1)} s`.padStart(9)}   ${text}`);
  }

  #styled(style: Style, text: string): string {
    return this.#hasColours ? styleText(style, text) : text;
  }
}

function indent(text: string, columns: number): string {
  return text.replace(/^/gm, ' '.repeat(columns));
}
