// What a failed attempt tells: whether its token may be written again, and whether the connection was closed on purpose.
import assert from 'node:assert/strict';
import { failed, type Result } from './transaction.ts';

function error(message: string, fields: object = {}): Error {
  return Object.assign(new Error(message), fields);
}

function stageOf(result: Result): string {
  return result.isDone ? 'done' : result.stage;
}

describe('a failed transaction', () => {
  it('is unknown when the connection broke after COMMIT was sent', () => {
    assert.equal(stageOf(failed(error('read ECONNRESET', { code: 'ECONNRESET' }), 'committing')), 'committing');
    assert.equal(stageOf(failed(error('terminating', { severity: 'FATAL' }), 'committing')), 'committing');
  });

  it('was surely not committed when the server answered COMMIT with an error', () => {
    assert.equal(stageOf(failed(error('deadlock', { severity: 'ERROR' }), 'committing')), 'inside');
    assert.equal(stageOf(failed(error('deadlock', { severity_local: 'ERROR' }), 'committing')), 'inside');
  });

  it('tells a closed connection from a refusal', () => {
    const isClosed = (result: Result): boolean => !result.isDone && result.isClosed;
    assert.ok(isClosed(failed(error('write CONNECTION_CLOSED', { code: 'CONNECTION_CLOSED' }), 'before')));
    assert.ok(isClosed(failed(error('admin forced disconnect', { severity: 'FATAL' }), 'before')));
    assert.ok(!isClosed(failed(error('query_wait_timeout', { severity: 'FATAL' }), 'before')));
    assert.ok(!isClosed(failed(error('syntax error', { severity: 'ERROR' }), 'before')));
  });
});
