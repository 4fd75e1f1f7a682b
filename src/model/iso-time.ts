// RFC 3339 text ↔ milliseconds since 1970, without the global clock: the pure folders may not ask what time it is.

const DAYS_BEFORE_MONTH = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334] as const;

/** `2026-11-21T10:00:00Z` for a moment in milliseconds; seconds precision, as Kubernetes writes it. */
export function isoTime(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  const days = Math.floor(seconds / 86_400);
  const { year, month, day } = civilFromDays(days);
  const rest = seconds - days * 86_400;
  const two = (n: number): string => String(n).padStart(2, '0');
  return `${String(year).padStart(4, '0')}-${two(month)}-${two(day)}T${two(Math.floor(rest / 3600))}:${two(Math.floor(rest / 60) % 60)}:${two(rest % 60)}Z`;
}

/** Milliseconds of an RFC 3339 text; 0 for anything else (long ago). Kubernetes itself writes UTC; people may write an offset. */
export function parseIso(text: string | undefined): number {
  const match = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:Z|([+-])(\d\d):(\d\d))$/i.exec(
    text ?? '',
  );
  if (match === null) return 0;
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map(Number) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const fraction = match[7] === undefined ? 0 : Number(`0.${match[7]}`) * 1000;
  const ahead = (Number(match[9] ?? 0) * 60 + Number(match[10] ?? 0)) * (match[8] === '-' ? -1 : 1);
  const minutes = (daysFromCivil(year, month, day) * 24 + hour) * 60 + minute - ahead;
  return minutes * 60_000 + second * 1000 + Math.floor(fraction);
}

function isLeap(year: number): boolean {
  return (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0;
}

function daysFromCivil(year: number, month: number, day: number): number {
  const years = year - 1;
  const leapDays = Math.floor(years / 4) - Math.floor(years / 100) + Math.floor(years / 400);
  const beforeMonth = (DAYS_BEFORE_MONTH[month - 1] ?? 0) + (month > 2 && isLeap(year) ? 1 : 0);
  return years * 365 + leapDays + beforeMonth + day - 1 - 719_162;
}

function civilFromDays(days: number): { year: number; month: number; day: number } {
  let year = 1970 + Math.floor(days / 365.2425);
  while (daysFromCivil(year + 1, 1, 1) <= days) year += 1;
  while (daysFromCivil(year, 1, 1) > days) year -= 1;
  let month = 12;
  while (daysFromCivil(year, month, 1) > days) month -= 1;
  return { year, month, day: days - daysFromCivil(year, month, 1) + 1 };
}
