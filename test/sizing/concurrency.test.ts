// Workers and threads are read from a pod template the way Puma means them, and never guessed silently.
import assert from 'node:assert/strict';
import { COUNT_LIMIT, resolveCount } from '../../src/sizing/concurrency.ts';
import type { Count, CountRole, EnvFacts, PodTemplateFacts } from '../../src/sizing/concurrency.ts';

const literal = (name: string, value: string): EnvFacts => ({ name, value, hasValueFrom: false });
const template = (containers: Readonly<Record<string, readonly EnvFacts[]>>): PodTemplateFacts => ({
  containers: Object.entries(containers).map(([name, env]) => ({ name, env })),
});
const threads: Count = { env: 'RAILS_MAX_THREADS', default: 5 };
const workers: Count = { env: 'WEB_CONCURRENCY', default: 2 };

describe('reading workers and threads', () => {
  it('takes an integer from the spec as it is', () => {
    assert.deepEqual(resolveCount({ integer: 10 }, template({}), 'threads'), { value: 10, source: 'spec' });
  });

  it('takes the literal value of the first container that sets the variable', () => {
    const pod = template({
      proxy: [literal('OTHER', '9')],
      web: [literal('RAILS_MAX_THREADS', '3')],
      log: [literal('RAILS_MAX_THREADS', '8')],
    });
    assert.deepEqual(resolveCount(threads, pod, 'threads'), { value: 3, source: 'env' });
  });

  it('reads the named container where one is named', () => {
    const pod = template({ web: [literal('RAILS_MAX_THREADS', '3')], jobs: [literal('RAILS_MAX_THREADS', '8')] });
    assert.deepEqual(resolveCount({ ...threads, container: 'jobs' }, pod, 'threads'), { value: 8, source: 'env' });
  });

  it('lets the last of two entries win, as the kubelet does', () => {
    const pod = template({ web: [literal('RAILS_MAX_THREADS', '3'), literal('RAILS_MAX_THREADS', '4')] });
    assert.equal(resolveCount(threads, pod, 'threads').value, 4);
  });

  it('counts workers 0 as one process and threads 0 as the default', () => {
    const pod = template({ web: [literal('WEB_CONCURRENCY', '0'), literal('RAILS_MAX_THREADS', '0')] });
    assert.deepEqual(resolveCount(workers, pod, 'workers'), {
      value: 1,
      source: 'env',
      note: 'workers 0 counts as 1',
    });
    assert.deepEqual(resolveCount(threads, pod, 'threads'), {
      value: 5,
      source: 'default',
      note: 'RAILS_MAX_THREADS is 0: threads taken as 5',
    });
  });

  const unusable: readonly (readonly [string, PodTemplateFacts, RegExp])[] = [
    ['a missing variable', template({ web: [] }), /RAILS_MAX_THREADS is not set: threads taken as 5/],
    [
      'a value from elsewhere',
      template({ web: [{ name: 'RAILS_MAX_THREADS', hasValueFrom: true }] }),
      /comes from elsewhere \(valueFrom\): threads taken as 5/,
    ],
    ['an empty value', template({ web: [{ name: 'RAILS_MAX_THREADS', hasValueFrom: false }] }), /is not an integer/],
    ...['auto', '-1', '2.5', '1e3', '0x10', '010', '5 threads', '$(OTHER)', '９'].map(
      (text) => [`"${text}"`, template({ web: [literal('RAILS_MAX_THREADS', text)] }), /is not an integer/] as const,
    ),
  ];
  for (const [what, pod, note] of unusable) {
    it(`takes the default for ${what}, and says so`, () => {
      const result = resolveCount(threads, pod, 'threads');
      assert.equal(result.value, 5);
      assert.equal(result.source, 'default');
      assert.match(result.note ?? '', note);
    });
  }

  it('takes the default when the named container is not there or does not set the variable', () => {
    const pod = template({ web: [literal('RAILS_MAX_THREADS', '3')], jobs: [] });
    const absent = resolveCount({ ...threads, container: 'cron' }, pod, 'threads');
    assert.deepEqual([absent.value, absent.note], [5, 'there is no container cron: threads taken as 5']);
    const unset = resolveCount({ ...threads, container: 'jobs' }, pod, 'threads');
    assert.deepEqual([unset.value, unset.source], [5, 'default']);
  });

  it('bounds absurd numbers, wherever they come from', () => {
    const pod = template({ web: [literal('RAILS_MAX_THREADS', '99999')] });
    const roles: readonly CountRole[] = ['workers', 'threads'];
    for (const role of roles) {
      for (const count of [threads, { integer: 1_000_000 }, { env: 'UNSET', default: 70_000 }]) {
        const result = resolveCount(count, pod, role);
        assert.equal(result.value, COUNT_LIMIT);
        assert.match(result.note ?? '', /bounded to 10000/);
      }
    }
  });
});
