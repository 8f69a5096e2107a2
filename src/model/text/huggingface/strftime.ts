/** @file The date in a template: Python's strftime in its English locale, for the codes that dates and times are made of. */
const MONTHS = 'January February March April May June July August September October November December'.split(' ');
const DAYS = 'Sunday Monday Tuesday Wednesday Thursday Friday Saturday'.split(' ');

/**
 * @param date in local time
 * @throws RangeError naming a code that is not known
 */
export function strftime(date: Date, format: string): string {
  const two = (value: number) => String(value).padStart(2, '0');
  const month = MONTHS[date.getMonth()]!;
  const day = DAYS[date.getDay()]!;
  const startOfYear = Date.UTC(date.getFullYear(), 0, 1);
  const dayOfYear = (Date.UTC(date.getFullYear(), date.getMonth(), date.getDate()) - startOfYear) / 86_400_000 + 1;
  const codes: Record<string, () => string> = {
    A: () => day,
    a: () => day.slice(0, 3),
    B: () => month,
    b: () => month.slice(0, 3),
    d: () => two(date.getDate()),
    H: () => two(date.getHours()),
    I: () => two(date.getHours() % 12 || 12),
    j: () => String(dayOfYear).padStart(3, '0'),
    M: () => two(date.getMinutes()),
    m: () => two(date.getMonth() + 1),
    p: () => (date.getHours() < 12 ? 'AM' : 'PM'),
    S: () => two(date.getSeconds()),
    Y: () => String(date.getFullYear()),
    y: () => two(date.getFullYear() % 100),
    '%': () => '%',
  };
  return format.replaceAll(/%(-?)(.)/gs, (whole, plain: string, code: string) => {
    const text = codes[code]?.();
    if (text === undefined) throw new RangeError(`strftime_now: the code ${whole} is not known`);
    return plain ? text.replace(/^0+(?=.)/, '') : text;
  });
}
