import assert from 'node:assert/strict';
import { ApiError } from '../../src/kube/errors.ts';
import { EventRecorder } from '../../src/kube/events.ts';
import type { EventFacts, EventRecorderOptions } from '../../src/kube/events.ts';
import type { LiveObject, Manifest } from '../../src/kube/resources.ts';
import { silentLog } from '../../src/runtime/log.ts';
import { FakeClock } from '../support/fake-clock.ts';

type Written = {
  readonly verb: 'create' | 'patch';
  readonly name: string;
  readonly body: Readonly<Record<string, unknown>>;
};

function setUp() {
  const clock = new FakeClock();
  const written: Written[] = [];
  const failures: ApiError[] = [];
  const write = async (entry: Written): Promise<void> => {
    await Promise.resolve();
    const failure = failures.shift();
    if (failure !== undefined) {
      throw failure;
    }
    written.push(entry);
  };
  const client: EventRecorderOptions['client'] = {
    create: async <T extends Manifest>(object: T) => {
      await write({ verb: 'create', name: object.metadata.name, body: object });
      return object as T & LiveObject;
    },
    mergePatch: async <T extends LiveObject>(_resource: unknown, _namespace: unknown, name: string, body: object) => {
      await write({ verb: 'patch', name, body: body as Written['body'] });
      return {} as T;
    },
  };
  const options = { client, clock, log: silentLog, random: () => 0.5 };
  const recorder = new EventRecorder({ ...options, controller: 'poolsmith.dev/operator', instance: 'pod-1' });
  return { clock, written, failures, recorder };
}

const facts: EventFacts = {
  regarding: { apiVersion: 'poolsmith.dev/v1alpha1', kind: 'PoolConfig', name: 'orders', namespace: 'shop', uid: 'u1' },
  type: 'Normal',
  reason: 'Scaled',
  action: 'Grow',
  note: 'from 2 to 3 pods',
};

describe('the event recorder', () => {
  it('writes an event with a time of six digits, in the namespace of its object', async () => {
    const { clock, written, recorder } = setUp();
    recorder.record(facts);
    await clock.settle();
    const [first] = written;
    assert.ok(first);
    const { body, name } = first;
    assert.match(name, /^orders\.[0-9a-f]{16}$/);
    assert.deepEqual(body['metadata'], { name, namespace: 'shop' });
    assert.equal(body['eventTime'], '2026-11-01T00:00:00.000000Z');
    assert.equal(body['reportingController'], 'poolsmith.dev/operator');
    assert.equal(body['series'], undefined);
  });

  it('makes one series of equal events, written every half minute at most', async () => {
    const { clock, written, recorder } = setUp();
    for (let second = 0; second < 60; second += 1) {
      recorder.record(facts);
      await clock.advance(1000);
    }
    await clock.advance(60_000);
    assert.deepEqual(
      written.map(({ verb }) => verb),
      ['create', 'patch', 'patch'],
    );
    assert.equal(new Set(written.map(({ name }) => name)).size, 1);
    assert.equal((written.at(-1)?.body['series'] as { count: number }).count, 60);
  });

  it('starts a new event when the last equal one was ten minutes ago, and for any difference', async () => {
    const { clock, written, recorder } = setUp();
    recorder.record(facts);
    recorder.record({ ...facts, note: 'from 3 to 4 pods' });
    await clock.advance(600_000);
    recorder.record(facts);
    await clock.settle();
    assert.equal(written.filter(({ verb }) => verb === 'create').length, 3);
    assert.equal(new Set(written.map(({ name }) => name)).size, 3);
  });

  it('tries again while the server is away, and gives up in the end', async () => {
    const { clock, written, failures, recorder } = setUp();
    failures.push(...Array.from({ length: 3 }, () => new ApiError({ kind: 'unavailable', message: 'away' })));
    recorder.record(facts);
    await clock.advance(60_000);
    assert.equal(written.length, 1);
    failures.push(...Array.from({ length: 4 }, () => new ApiError({ kind: 'unavailable', message: 'away' })));
    recorder.record({ ...facts, note: 'other' });
    await clock.advance(60_000);
    assert.equal(written.length, 1);
    assert.equal(recorder.metrics().dropped, 1);
  });

  it('does not try again what the server refuses, and goes on with the next', async () => {
    const { clock, written, failures, recorder } = setUp();
    failures.push(new ApiError({ kind: 'forbidden', message: 'namespace is terminating' }));
    recorder.record(facts);
    recorder.record({ ...facts, note: 'other' });
    await clock.settle();
    assert.equal(written.length, 1);
    assert.equal(recorder.metrics().dropped, 1);
  });

  it('goes on with a series in a new event when its event has expired', async () => {
    const { clock, written, failures, recorder } = setUp();
    recorder.record(facts);
    await clock.advance(1000);
    recorder.record(facts);
    failures.push(new ApiError({ kind: 'notFound', message: 'expired' }));
    await clock.advance(30_000);
    assert.deepEqual(
      written.map(({ verb }) => verb),
      ['create', 'create'],
    );
    assert.equal((written[1]?.body['series'] as { count: number }).count, 2);
  });

  it('never throws and stays bounded when thousands come while the server is away', async () => {
    const { clock, failures, recorder } = setUp();
    failures.push(...Array.from({ length: 10_000 }, () => new ApiError({ kind: 'unavailable', message: 'away' })));
    for (let index = 0; index < 5_000; index += 1) {
      recorder.record({ ...facts, note: `note ${index}` });
    }
    await clock.settle();
    assert.ok(recorder.metrics().dropped >= 4_000);
  });

  it('shortens a note to what the server takes, counted in bytes, without cutting a letter', async () => {
    const { clock, written, recorder } = setUp();
    recorder.record({ ...facts, note: 'ä'.repeat(2000) });
    await clock.settle();
    const note = written[0]?.body['note'] as string;
    assert.ok(Buffer.byteLength(note) <= 1024 && Buffer.byteLength(note) > 1018);
    assert.match(note, /^ä+…$/);
  });

  it('writes what is waiting when it stops, and nothing afterwards', async () => {
    const { clock, written, recorder } = setUp();
    recorder.record(facts);
    await clock.settle();
    recorder.record(facts);
    await recorder.stop();
    recorder.record({ ...facts, note: 'too late' });
    await clock.advance(60_000);
    assert.deepEqual(
      written.map(({ verb }) => verb),
      ['create', 'patch'],
    );
  });

  it('does not let a server that is away hold up the stop', async () => {
    const { clock, failures, recorder } = setUp();
    failures.push(...Array.from({ length: 100 }, () => new ApiError({ kind: 'unavailable', message: 'away' })));
    for (let index = 0; index < 50; index += 1) {
      recorder.record({ ...facts, note: `note ${index}` });
    }
    let stopped = false;
    const stopping = recorder.stop().then(() => {
      stopped = true;
    });
    await clock.advance(2_000);
    assert.ok(stopped);
    await stopping;
  });
});
