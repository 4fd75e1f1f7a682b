// The budget as planning reads it: what the server allowed last counts while it is away, and PoolConfigs of one server are added up.
import assert from 'node:assert/strict';
import type { PoolConfig } from '../../src/api/poolconfig.gen.ts';
import type { Observation } from '../../src/model/observation.ts';
import { readBudget } from '../../src/plan/policies/budget-is-possible.ts';
import { observation, poolConfig } from '../support/observation.ts';

const server = { host: 'db', tls: { mode: 'disable' as const }, monitorSecretRef: { name: 'monitor' } };
/** Its monitor takes one connection of the server for itself. */
const monitored = poolConfig({ server, budget: { connections: 80 } });
const answering = (maxConnections: number): Observation['server'] => ({
  reachable: true,
  limits: { versionNumber: 170000, maxConnections, superuserReserved: 3, reserved: 0 },
  seesOthers: true,
  backends: [],
});
const reasons = (seen: Observation): readonly string[] => readBudget(seen).findings.map(({ reason }) => reason);

describe('the budget of a PoolConfig', () => {
  it('is sized to what the server allows, and says so', () => {
    const seen = observation(monitored, { server: answering(53) });
    assert.equal(readBudget(seen).budget?.budget, 49);
    assert.ok(reasons(seen).includes('ServerAllowsLess'));
  });

  it('keeps to what the server allowed when it was last read', () => {
    const budget = { declared: 80, reserve: 0, budget: 49, source: 'server' as const, usable: 50, maxConnections: 53 };
    const pool: PoolConfig = { ...monitored, status: { budget } };
    const away: Observation['server'] = { reachable: false, fault: 'ServerUnreachable' };
    assert.equal(readBudget(observation(pool, { server: away })).budget?.budget, 49);
    assert.equal(readBudget(observation(pool)).budget?.budget, 49);
  });

  it('says so when PoolConfigs of one server declare more together than it has', () => {
    const shared = (connections: number): Observation =>
      observation(monitored, { server: answering(103), neighbours: [{ key: 'shop/billing', connections }] });
    assert.ok(!reasons(shared(19)).includes('ServerShared'));
    assert.ok(reasons(shared(20)).includes('ServerShared'));
    const told = readBudget(shared(20)).findings.find(({ reason }) => reason === 'ServerShared');
    assert.match(told?.message ?? '', /shop\/billing \(20\).*together declare 100.* it has 100/);
  });
});
