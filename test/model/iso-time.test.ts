// Times as Kubernetes writes them and as people do: the same moment, whatever the offset.
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { isoTime, parseIso } from '../../src/model/iso-time.ts';

const moment = fc.integer({ min: 0, max: 4_102_444_800_000 });

describe('RFC 3339 times', () => {
  it('are written and read as the platform does', () => {
    fc.assert(
      fc.property(moment, (ms) => {
        assert.equal(parseIso(new Date(ms).toISOString()), ms);
        assert.equal(isoTime(ms), `${new Date(ms).toISOString().slice(0, 19)}Z`);
      }),
    );
  });

  it('mean the same moment with any offset', () => {
    fc.assert(
      fc.property(moment, fc.integer({ min: -839, max: 840 }), (ms, minutes) => {
        const local = new Date(ms + minutes * 60_000).toISOString().slice(0, -1);
        const [hours, rest] = [Math.trunc(Math.abs(minutes) / 60), Math.abs(minutes) % 60];
        const offset = `${minutes < 0 ? '-' : '+'}${String(hours).padStart(2, '0')}:${String(rest).padStart(2, '0')}`;
        // Before 1970 there is nothing that we would be told of.
        if (ms + minutes * 60_000 >= 0) assert.equal(parseIso(local + offset), ms);
      }),
    );
  });

  it('are long ago where the text is none', () => {
    for (const text of [undefined, '', 'soon', '2026-11-21', '2026-11-21T10:00:00', '2026-11-21 10:00:00Z'])
      assert.equal(parseIso(text), 0, text);
  });
});
