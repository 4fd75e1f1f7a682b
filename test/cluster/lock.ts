// One command at a time: a lock that the kernel gives back however its holder ends.
import { createServer, type Server } from 'node:net';
import { until } from './processes.ts';

/** Runs `work` while holding the lock called `name`, for this machine; waits up to `timeoutMs` for another holder. */
export async function withLock<T>(name: string, timeoutMs: number, work: () => Promise<T>): Promise<T> {
  let server = await claim(name);
  if (server === undefined) {
    console.log(`waiting for another command (${name}) …`);
    server = await until(`another command (${name})`, () => claim(name), timeoutMs, 200);
  }
  try {
    return await work();
  } finally {
    server.close();
  }
}

/** An abstract unix socket has one listener, no file, and ends with the process, kill -9 included. */
function claim(name: string): Promise<Server | undefined> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy());
    server.unref();
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') resolve(undefined);
      else reject(error);
    });
    server.listen(`\0poolsmith-${name}`, () => {
      resolve(server);
    });
  });
}
