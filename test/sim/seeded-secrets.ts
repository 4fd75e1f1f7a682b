// Secrets that are random to the program, and the same each time a history is lived.
import { createHash } from 'node:crypto';

/** As the program's own source of secrets: text made of so many bytes. */
export function seededSecrets(seed: number): (bytes: number) => string {
  let made = 0;
  return (bytes) => {
    made += 1;
    const digest = createHash('sha512').update(`${seed} ${made}`).digest('base64url');
    return digest.slice(0, Math.ceil((bytes * 4) / 3));
  };
}
