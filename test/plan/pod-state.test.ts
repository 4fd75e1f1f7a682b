// When a pod counts as proved: every part of the proof can be missing alone, and each then says so by its name.
import assert from 'node:assert/strict';
import type { Observation, PoolerReading } from '../../src/model/observation.ts';
import type { PoolerView } from '../../src/model/pooler-view.ts';
import { podStates, type Unproved } from '../../src/plan/pod-state.ts';
import { readProvedRecord } from '../../src/plan/proved-record.ts';
import { PaperFleet } from '../support/paper-fleet.ts';

type Reading = PoolerReading & { readonly ok: true };

function proved(): Observation {
  const fleet = new PaperFleet();
  fleet.settle();
  return fleet.observe();
}

/** Why the first pod is not proved when its pooler answers something else. */
function whyNot(change: (reading: Reading) => PoolerReading): Unproved | undefined {
  const seen = proved();
  const record = readProvedRecord(seen);
  const [uid, reading] = [...seen.poolers][0] ?? [];
  assert.ok(record !== undefined && uid !== undefined && reading?.ok === true);
  const states = podStates(
    { ...seen, poolers: new Map([...seen.poolers, [uid, change(reading)]]) },
    new Map([[record.modelHash, record.model]]),
  );
  return states.find(({ pod }) => pod.uid === uid)?.unproved;
}

const withView = (change: (view: PoolerView) => Partial<PoolerView>) => (reading: Reading) => ({
  ...reading,
  view: { ...reading.view, ...change(reading.view) },
});
const withSetting = (key: string, value: string) =>
  withView(({ config }) => ({ config: new Map([...config, [key, value]]) }));

describe('a pod', () => {
  it('is proved when its file is loaded, reads back equal, and both logins succeeded', () => {
    assert.equal(
      whyNot((reading) => reading),
      undefined,
    );
  });

  it('is not proved while a setting or a size reads back otherwise, although RELOAD said OK and the hash shows', () => {
    assert.deepEqual(whyNot(withSetting('query_wait_timeout', '1'))?.kind, 'mismatch');
    const larger = withView(({ databases }) => ({ databases: databases.map((row) => ({ ...row, poolSize: 50 })) }));
    assert.deepEqual(whyNot(larger)?.kind, 'mismatch');
  });

  it('is not proved while it shows the hash of another file', () => {
    assert.deepEqual(whyNot(withSetting('syslog_ident', '0123456789abcdef')), { kind: 'notLoaded' });
  });

  it('is not proved before the login that shows its userlist', () => {
    assert.deepEqual(
      whyNot((reading) => ({ ...reading, userlistProved: false })),
      { kind: 'userlist' },
    );
  });

  it('is not proved before a login reached the server', () => {
    for (const proof of ['untried', 'PoolerRefused', 'ServerUnreachable'] as const)
      assert.deepEqual(
        whyNot((reading) => ({ ...reading, serverProof: proof })),
        { kind: 'server', proof },
      );
  });

  it('is not proved while its console does not answer, or after it refused this file', () => {
    assert.deepEqual(
      whyNot(() => ({ ok: false, fault: 'timeout' })),
      { kind: 'unreachable' },
    );
    const ini = proved().pods[0]?.grant?.ini ?? '';
    assert.deepEqual(
      whyNot((reading) => ({ ...reading, refusal: { ini, message: 'no', atMs: 1 } })),
      { kind: 'refused', message: 'no', atMs: 1 },
    );
  });
});
