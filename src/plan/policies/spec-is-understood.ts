// Refuses a spec that holds fields nobody would read, or parameters the settings table does not allow.
import { unknownFields } from '../../api/unknown-fields.ts';
import type { PoolConfig } from '../../api/poolconfig.gen.ts';
import type { Finding } from '../../model/finding.ts';
import { validateParameters } from '../../model/settings/validate.ts';

/** A field that the schema does not know would otherwise be lost in silence: a typing error must not look like success. */
export function specIsUnderstood(pool: PoolConfig): Finding | undefined {
  const unknown = unknownFields(pool.spec);
  if (unknown.length > 0) {
    return {
      condition: 'ConfigApplied',
      reason: 'UnknownField',
      message: `${unknown.join('; ')}. Correct or remove it; until then the fleet stays as it was.`,
      blocking: true,
    };
  }
  const problems = validateParameters(pool.spec.pooler?.parameters ?? {});
  if (problems.length > 0) {
    return {
      condition: 'ConfigApplied',
      reason: 'InvalidSpec',
      message: problems.map((problem) => problem.message).join(' '),
      blocking: true,
    };
  }
  return undefined;
}
