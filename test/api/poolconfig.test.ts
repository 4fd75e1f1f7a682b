// A PoolConfig is read with the same defaults the API server would fill in.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { parse } from 'yaml';
import {
  databasesOf,
  DEFAULTS,
  drainTimes,
  isPoolConfig,
  monitorLogin,
  parseDurationMs,
  referencedSecrets,
  serverCa,
  serverPort,
  userKeys,
  wantedReplicas,
  workloadWish,
} from '../../src/api/poolconfig.ts';
import type { PoolConfig, Workload } from '../../src/api/poolconfig.gen.ts';
import { property, readCrd, rootSchema } from '../../scripts/crd-schema.ts';

const example = (file: string): PoolConfig => {
  const object: unknown = parse(readFileSync(new URL(`../../examples/${file}.yaml`, import.meta.url), 'utf8'));
  if (!isPoolConfig(object)) throw new Error(`${file} is no PoolConfig`);
  return object;
};

describe('DEFAULTS', () => {
  it('are those of the CRD', () => {
    const spec = property(rootSchema(readCrd()), 'spec');
    const server = property(spec, 'server');
    const database = property(spec, 'databases').items ?? {};
    const drain = property(spec, 'fleet', 'drain');
    assert.deepEqual(DEFAULTS, {
      serverPort: property(server, 'port').default,
      caKey: property(server, 'tls', 'caSecretRef', 'key').default,
      usernameKey: property(server, 'monitorSecretRef', 'usernameKey').default,
      passwordKey: property(server, 'monitorSecretRef', 'passwordKey').default,
      monitorDatabase: property(server, 'monitorSecretRef', 'database').default,
      reserve: property(spec, 'budget', 'reserve').default,
      poolMode: property(database, 'poolMode').default,
      weight: property(database, 'weight').default,
      replicas: property(spec, 'fleet', 'replicas').default,
      drainWindow: property(drain, 'window').default,
      drainTimeout: property(drain, 'timeout').default,
      serviceType: property(spec, 'service', 'type').default,
      servicePort: property(spec, 'service', 'port').default,
    });
    assert.deepEqual(drain.default, { window: DEFAULTS.drainWindow, timeout: DEFAULTS.drainTimeout });
  });
});

describe('a PoolConfig that says little', () => {
  const pool = example('minimal');

  it('is read with defaults', () => {
    assert.equal(serverPort(pool), 5432);
    assert.equal(wantedReplicas(pool), 2);
    assert.deepEqual(drainTimes(pool), { windowMs: 30_000, timeoutMs: 300_000 });
    assert.deepEqual(databasesOf(pool), [{ name: 'shop', database: 'shop', poolMode: 'transaction', weight: 1 }]);
    assert.equal(monitorLogin(pool), undefined);
    assert.equal(serverCa(pool), undefined);
    assert.deepEqual(referencedSecrets(pool), ['shop-app']);
  });
});

describe('a PoolConfig that says everything', () => {
  const pool = example('orders');

  it('is read as written', () => {
    assert.deepEqual(databasesOf(pool)[1], {
      name: 'reporting',
      database: 'reporting',
      poolMode: 'session',
      weight: 1,
      poolSize: 6,
    });
    assert.deepEqual(monitorLogin(pool), {
      secretName: 'orders-monitor',
      usernameKey: 'username',
      passwordKey: 'password',
      database: 'postgres',
    });
    assert.deepEqual(serverCa(pool), { secretName: 'orders-db-ca', key: 'ca.crt' });
    assert.deepEqual(pool.spec.auth.users.map(userKeys)[1], {
      secretName: 'reporting-login',
      usernameKey: 'user',
      passwordKey: 'pass',
    });
  });

  it('names each Secret once', () => {
    const named = [
      ...[
        'orders-app',
        'orders-clients-ca',
        'orders-db-ca',
        'orders-db-login',
        'orders-monitor',
        'orders-pooler-tls',
        'reporting-login',
      ],
    ];
    assert.deepEqual(referencedSecrets(pool), named);
  });

  it('gives sizing its workloads', () => {
    assert.deepEqual(pool.spec.workloads?.map(workloadWish), [
      {
        ref: { kind: 'Deployment', name: 'web' },
        databases: ['orders'],
        workers: { env: 'WEB_CONCURRENCY', default: 2 },
        threads: { env: 'RAILS_MAX_THREADS', default: 5, container: 'puma' },
      },
      {
        ref: { kind: 'StatefulSet', name: 'sidekiq' },
        databases: ['orders'],
        workers: { integer: 1 },
        threads: { integer: 10 },
      },
      { name: 'bi-tool', clients: 4, databases: ['reporting'] },
    ]);
  });

  it('gives no wish for a workload that is neither one thing nor the other', () => {
    const odd: readonly Workload[] = [{}, { name: 'x' }, { ref: { kind: 'Deployment', name: 'x' } }];
    assert.deepEqual(odd.map(workloadWish), [undefined, undefined, undefined]);
  });
});

describe('isPoolConfig', () => {
  it('refuses what is not an object of our API', () => {
    const others: readonly unknown[] = [
      undefined,
      null,
      1,
      [],
      {},
      { kind: 'PoolConfig' },
      { ...example('minimal'), kind: 'Pod' },
    ];
    assert.deepEqual(others.filter(isPoolConfig), []);
  });
});

describe('parseDurationMs', () => {
  const cases: readonly (readonly [string, number | undefined])[] = [
    ['30s', 30_000],
    ['5m', 300_000],
    ['1h30m', 5_400_000],
    ['1m30s', 90_000],
    ['0s', 0],
    ['24h', 86_400_000],
    ['', undefined],
    ['30', undefined],
    ['-30s', undefined],
    ['1.5h', undefined],
    ['30S', undefined],
    ['30s ', undefined],
    ['100ms', undefined],
    ['999999s', undefined],
  ];
  for (const [text, ms] of cases) {
    it(`reads "${text}" as ${ms ?? 'no duration'}`, () => {
      assert.equal(parseDurationMs(text), ms);
    });
  }

  it('adds up hours, minutes and seconds (property)', () => {
    const number = fc.integer({ min: 0, max: 99_999 });
    fc.assert(
      fc.property(number, number, number, (h, m, s) => {
        assert.equal(parseDurationMs(`${h}h${m}m${s}s`), ((h * 60 + m) * 60 + s) * 1000);
      }),
    );
  });

  it('reads every text that the CRD admits, and no other (property)', () => {
    const drain = property(rootSchema(readCrd()), 'spec', 'fleet', 'drain', 'window');
    const admitted = new RegExp(drain.pattern ?? '');
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom('0', '1', '9', 's', 'm', 'h', '.', '-'), maxLength: 16 }),
        (text) => {
          assert.equal(parseDurationMs(text) !== undefined, admitted.test(text));
        },
      ),
    );
  });
});

describe('drainTimes', () => {
  it('never gives a timeout below the window, whatever was stored', () => {
    const pool = example('minimal');
    const odd: PoolConfig = { ...pool, spec: { ...pool.spec, fleet: { drain: { window: '10m', timeout: '1s' } } } };
    assert.deepEqual(drainTimes(odd), { windowMs: 600_000, timeoutMs: 600_000 });
  });
});
