// The operator's log: an error among the fields must say what went wrong.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';

const LOGGER = join(import.meta.dirname, '../../src/telemetry/logger.ts');

/** One line, from a process of its own: the transport writes to standard output. */
function logged(fields: string): Readonly<Record<string, unknown>> {
  const script = `import { createLogger } from ${JSON.stringify(LOGGER)}; createLogger('info').error('it failed', ${fields});`;
  return JSON.parse(
    execFileSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' }),
  ) as Record<string, unknown>;
}

describe('the log', function () {
  this.timeout(20_000);

  it('keeps what an error says, its own fields, and its cause', () => {
    const { error, key, message } = logged(
      `{ key: 'a', error: Object.assign(new Error('no answer', { cause: new Error('refused') }), { status: 503 }) }`,
    );
    assert.equal(message, 'it failed');
    assert.equal(key, 'a');
    const { stack, cause, ...said } = error as { stack: string; cause: { message: string } };
    assert.deepEqual(said, { name: 'Error', message: 'no answer', status: 503 });
    assert.match(stack, /no answer/);
    assert.equal(cause.message, 'refused');
  });
});
