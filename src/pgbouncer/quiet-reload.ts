// A RELOAD at a moment without server logins: one that changes the way to the server drops those under way, and clients pay for it.
import { setTimeout as delay } from 'node:timers/promises';
import type { WireAnswer } from '../postgres/wire-client.ts';
import { AdminError } from './errors.ts';
import { LOGIN_HOLD, valuesBeforeHold } from './login-hold.ts';
import { decodeConfig, decodePools } from './show.ts';
import { setStatement } from './statements.ts';

/** Gives one command to a console whose turn it is. */
export type Ask = (
  statement: string,
  how?: { readonly timeoutMs?: number; readonly evenIfAborted?: boolean },
) => Promise<WireAnswer>;

const POLL_MS = 3;

/** Holds logins, waits for those under way at most so long, and reloads, which also ends the hold. */
export async function reloadWithoutLogins(ask: Ask, quietWithinMs: number): Promise<void> {
  const former = valuesBeforeHold(decodeConfig((await ask('SHOW CONFIG')).rows));
  try {
    for (const [key, value] of Object.entries(LOGIN_HOLD)) {
      expectTag(await ask(setStatement(key, value)), 'SET');
    }
    const deadline = performance.now() + quietWithinMs;
    while (decodePools((await ask('SHOW POOLS')).rows).some(({ serversLogin }) => serversLogin > 0)) {
      if (performance.now() > deadline) {
        break;
      }
      await delay(POLL_MS);
    }
    expectTag(await ask('RELOAD'), 'RELOAD');
  } catch (error) {
    // A RELOAD that is refused before it changes anything leaves the hold.
    for (const [key, value] of Object.entries(former)) {
      await ask(setStatement(key, value), { evenIfAborted: true }).catch(() => undefined);
    }
    throw error;
  }
}

export function expectTag(answer: WireAnswer, tag: string): void {
  if (answer.command !== tag) {
    throw new AdminError('protocol', `${tag} was answered by ${answer.command}`);
  }
}
