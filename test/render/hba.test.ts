// The file of rules: the operator first, then the rules in their order, and nothing that PgBouncer would read otherwise.
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { renderHba, type HbaLine } from '../../src/render/hba.ts';
import { RenderError } from '../../src/render/render-error.ts';
import { parseHba, type ParsedRule } from '../support/hba-grammar.ts';

const linesOf = (...lines: HbaLine[]): readonly string[] => renderHba(lines).text.reveal().trimEnd().split('\n');

describe('renderHba', () => {
  it('has the operator first, from anywhere and by password, then the rules in their order', () => {
    assert.deepEqual(
      linesOf(
        { type: 'hostssl', databases: ['orders'], users: ['app', 'reader'], address: '10.0.0.0/8', method: 'cert' },
        { type: 'host', method: 'reject' },
      ),
      [
        'host all "poolsmith-admin","poolsmith-proof" all scram-sha-256',
        'hostssl "orders" "app","reader" 10.0.0.0/8 cert',
        'host all all all reject',
      ],
    );
  });

  it('is named after its content', () => {
    const [one, other] = [renderHba([{ type: 'host', method: 'reject' }]), renderHba([])];
    assert.match(one.fileName, /^hba-[0-9a-f]{12}\.conf$/);
    assert.notEqual(one.fileName, other.fileName);
    assert.equal(one.fileName, renderHba([{ type: 'host', method: 'reject' }]).fileName);
  });

  const refused: readonly (readonly [string, Partial<HbaLine>, RegExp])[] = [
    [
      'a line break in a name',
      { users: ['a\nhost all all all trust'] },
      /spec\.auth\.hba\[0\]\.users\[0\]: .*line breaks/,
    ],
    ['NUL in a name', { databases: ['a\0'] }, /spec\.auth\.hba\[0\]\.databases\[0\]/],
    ['an empty name', { users: [''] }, /1 to 63 bytes/],
    ['a name that is too long', { users: ['ü'.repeat(32)] }, /1 to 63 bytes/],
    ['a list without names', { users: [] }, /leave it out for all/],
    ['an address without a prefix', { address: '10.0.0.1' }, /"10\.0\.0\.1" is no network/],
    ['an address with something after it', { address: '10.0.0.0/8 trust' }, /is no network/],
    ['bits beyond the prefix', { address: '10.1.0.0/8' }, /the network is 10\.0\.0\.0\/8/],
  ];
  for (const [what, rule, words] of refused) {
    it(`refuses ${what}, naming the field`, () => {
      assert.throws(
        () => renderHba([{ type: 'host', method: 'scram-sha-256', ...rule }]),
        (error) => error instanceof RenderError && words.test(error.message),
      );
    });
  }

  it('either refuses a rule or PgBouncer reads that very rule (property)', () => {
    const name = fc.oneof(
      fc.string({ minLength: 1, maxLength: 20, unit: 'binary' }),
      fc.constantFrom(
        'all',
        'replication',
        'sameuser',
        '+a',
        '@a',
        '"',
        '""',
        ',',
        '#',
        ' ',
        'a"b',
        '\\',
        '%include x',
      ),
    );
    const names = fc.option(fc.array(name, { minLength: 1, maxLength: 4 }), { nil: undefined });
    const rule = fc.record({
      type: fc.constantFrom('host', 'hostssl', 'hostnossl'),
      databases: names,
      users: names,
      address: fc.option(
        fc.oneof(fc.constantFrom('10.0.0.0/8', '0.0.0.0/0', '::/0', '2001:db8::/32'), fc.string({ maxLength: 12 })),
        { nil: undefined },
      ),
      method: fc.constantFrom('scram-sha-256', 'cert', 'reject'),
    });
    const said = { read: 0, refused: 0 };
    fc.assert(
      fc.property(fc.array(rule, { minLength: 1, maxLength: 4 }), (drawn) => {
        const lines = drawn as readonly HbaLine[];
        let text: string;
        try {
          text = renderHba(lines).text.reveal();
        } catch (error) {
          assert.ok(error instanceof RenderError);
          said.refused += 1;
          return;
        }
        said.read += 1;
        const [, ...read] = readAsWritten(text);
        assert.deepEqual(read, lines.map(meant));
      }),
      { numRuns: 3_000 },
    );
    assert.ok(said.read > 300 && said.refused > 300, JSON.stringify(said));
  });
});

/** A line that PgBouncer would leave out is as wrong as one that it reads otherwise. */
function readAsWritten(text: string): readonly ParsedRule[] {
  try {
    return parseHba(text);
  } catch (error) {
    return assert.fail(`PgBouncer would not read ${JSON.stringify(text)}: ${(error as Error).message}`);
  }
}

function meant({ type, databases, users, address = 'all', method }: HbaLine): ParsedRule {
  const words = (list: readonly string[] | undefined): ParsedRule['users'] =>
    list?.map((text) => ({ text, quoted: true })) ?? [{ text: 'all', quoted: false }];
  return { type, databases: words(databases), users: words(users), address, method };
}
