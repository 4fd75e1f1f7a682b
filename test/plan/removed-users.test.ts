// A user that is declared no more is refused by name in the userlist, for as long as a stored userlist speaks of it.
import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { PoolConfig } from '../../src/api/poolconfig.gen.ts';
import type { KubeObject } from '../../src/model/kube-object.ts';
import { childNames } from '../../src/model/names.ts';
import { RESERVED_USERS } from '../../src/model/reserved-names.ts';
import { SecretText } from '../../src/model/secret-text.ts';
import { desire, type Desired } from '../../src/plan/desired.ts';
import { renderUserlist, userlistNames } from '../../src/render/userlist.ts';
import { observation, poolConfig, secret } from '../support/observation.ts';

const SECRETS = new Map([
  ['orders-app', secret({ username: 'orders_app', password: 'correct horse' })],
  ['reader', secret({ username: 'reader', password: 'battery staple' })],
]);

function poolOf(...secretNames: readonly string[]): PoolConfig {
  return poolConfig({ auth: { users: secretNames.map((name) => ({ secretRef: { name } })) } });
}

/** As it is stored once the files of an earlier wish were written. */
function stored(files: Desired['files']): ReadonlyMap<string, KubeObject> {
  const data = [...files].map(([name, text]) => [name, Buffer.from(text.reveal()).toString('base64')] as const);
  const name = childNames('orders').files;
  const object: KubeObject = {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name, namespace: 'shop' },
    data: Object.fromEntries(data),
  };
  return new Map([[`Secret/${name}`, object]]);
}

function wanted(pool: PoolConfig, children: ReadonlyMap<string, KubeObject>): Desired {
  const { desired } = desire(observation(pool, { secrets: SECRETS, children }), undefined);
  return desired ?? assert.fail('nothing is wanted');
}

const linesOf = (desired: Desired): string => [...desired.files.values()].map((text) => text.reveal()).join('\n');

describe('a user that is removed', () => {
  const both = wanted(poolOf('orders-app', 'reader'), new Map());
  const without = wanted(poolOf('orders-app'), stored(both.files));

  it('gets a line with an empty secret, because PgBouncer lets a user without a line in again', () => {
    assert.match(linesOf(without), /^"reader" ""$/m);
    assert.match(linesOf(without), /^"orders_app" "correct horse"$/m);
  });

  it('keeps that line when the former file is gone, and the file stays the same', () => {
    assert.deepEqual(wanted(poolOf('orders-app'), stored(without.files)).files, without.files);
  });

  it('has its own line again when it comes back', () => {
    assert.deepEqual(wanted(poolOf('orders-app', 'reader'), stored(without.files)).files, both.files);
  });
});

describe('userlistNames', () => {
  it('reads back every name that can be rendered', () => {
    const name = fc
      .string({ unit: 'grapheme', minLength: 1, maxLength: 12 })

      .filter((text) => !/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/.test(text) && !RESERVED_USERS.includes(text))
      .filter((text) => Buffer.byteLength(text, 'utf8') <= 63);
    const keys = { adminPassword: new SecretText('admin'), proofKey: new SecretText('0123456789abcdef') };
    fc.assert(
      fc.property(fc.uniqueArray(name, { maxLength: 5 }), fc.string(), (names, password) => {
        const secretText = new SecretText(`p${password.replaceAll(/[\u0000-\u001f\u007f-\u009f]/g, '')}`);
        const { text } = renderUserlist(
          names.map((one) => ({ name: one, secret: secretText })),
          keys,
        );
        assert.deepEqual([...userlistNames(text.reveal())].sort(), [...names].sort());
      }),
    );
  });
});
