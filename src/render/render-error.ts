// Something that can't be written into PgBouncer's files without changing its meaning; trying again won't help.

/** `field` names where the value came from, such as `databases["orders"].host`. The value itself is not in the message. */
export class RenderError extends Error {
  override readonly name = 'RenderError';
  readonly field: string;

  constructor(field: string, problem: string) {
    super(`while rendering ${field}: ${problem}`);
    this.field = field;
  }
}
