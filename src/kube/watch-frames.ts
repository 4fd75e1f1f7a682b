// A watch's byte stream cut into frames: one JSON object a line, an ERROR frame thrown as the error it carries.
import { ApiError, errorFromAnswer } from './errors.ts';
import type { LiveObject } from './resources.ts';
import { brokenConnection } from './transport.ts';

export type WatchFrame<T extends LiveObject = LiveObject> =
  | { readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'; readonly object: T }
  /** Carries nothing but a resourceVersion up to which everything has been sent. */
  | { readonly type: 'BOOKMARK'; readonly object: { readonly metadata: { readonly resourceVersion: string } } };

const NEWLINE = 10;

/** Complete lines of a stream. Throws when it ends in the middle of one. */
export async function* lines(chunks: AsyncIterable<Buffer>): AsyncGenerator<string, void, undefined> {
  // A long line arrives in many chunks: keep them apart and join once, or the cost grows with the square of its length.
  let parts: Buffer[] = [];
  for await (const chunk of chunks) {
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, start)) {
      parts.push(chunk.subarray(start, end));
      const line = parts.length === 1 ? chunk.toString('utf8', start, end) : Buffer.concat(parts).toString('utf8');
      parts = [];
      start = end + 1;
      yield line;
    }
    if (start < chunk.length) {
      parts.push(chunk.subarray(start));
    }
  }
  if (parts.length > 0) {
    throw new Error('the stream ended in the middle of a line');
  }
}

/** The frames of a watch. Throws an ApiError for an ERROR frame, a malformed line, or a connection that breaks. */
export async function* watchFrames<T extends LiveObject>(
  doing: string,
  chunks: AsyncIterable<Buffer>,
  signal?: AbortSignal,
): AsyncGenerator<WatchFrame<T>, void, undefined> {
  try {
    for await (const line of lines(chunks)) {
      const frame = JSON.parse(line) as WatchFrame<T> | { readonly type: 'ERROR'; readonly object: unknown };
      if (frame.type === 'ERROR') {
        throw errorFromAnswer(`${doing} (ERROR frame)`, 200, frame.object);
      }
      yield frame;
    }
  } catch (error) {
    if (error instanceof ApiError) {
      throw error;
    }
    if (signal?.aborted === true) {
      throw new ApiError({ kind: 'cancelled', message: `while ${doing}: cancelled`, cause: signal.reason });
    }
    throw brokenConnection(doing, error);
  }
}
