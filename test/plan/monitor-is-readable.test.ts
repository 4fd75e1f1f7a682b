// The Secret of the monitor role: its absence is told, and never mistaken for a fleet without a monitor.
import assert from 'node:assert/strict';
import type { Observation } from '../../src/model/observation.ts';
import { monitorFinding } from '../../src/plan/policies/monitor-is-readable.ts';
import { observation, poolConfig, secret } from '../support/observation.ts';

describe('the Secret of the monitor role', () => {
  const server = { host: 'db', tls: { mode: 'disable' as const }, monitorSecretRef: { name: 'monitor' } };
  const finding = (secrets: Observation['secrets'], monitored = true) =>
    monitorFinding(observation(poolConfig(monitored ? { server } : {}), { secrets }));

  it('is not asked for where none is named', () => {
    assert.equal(finding(new Map(), false), undefined);
  });

  it('blocks when it does not exist, by its name', () => {
    const found = finding(new Map([['monitor', { state: 'missing' }]]));
    assert.deepEqual([found?.reason, found?.condition, found?.blocking], ['SecretMissing', 'ConfigApplied', true]);
    assert.match(found?.message ?? '', /spec\.server\.monitorSecretRef: Secret monitor does not exist/);
  });

  it('blocks when it lacks a key, by the name of the key', () => {
    const found = finding(new Map([['monitor', secret({ username: 'monitor' })]]));
    assert.equal(found?.reason, 'SecretKeyMissing');
    assert.match(found.message, /Secret monitor has no key "password"/);
  });

  it('says nothing of one that can be read', () => {
    assert.equal(finding(new Map([['monitor', secret({ username: 'monitor', password: 'sesame' })]])), undefined);
  });
});
