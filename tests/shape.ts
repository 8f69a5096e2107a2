/** @file The shape of JSON: keys and kinds of values, without the values. */

export type Shape = string | { [key: string]: Shape } | Shape[];

/**
 * Keys and types. A list is the union of its items' shapes; what is missing in some items has a `?` at its key.
 */
export function shapeOf(value: unknown): Shape {
  if (Array.isArray(value)) return value.length === 0 ? [] : [value.map(shapeOf).reduce(unite)];
  if (typeof value !== 'object' || value === null) return value === null ? 'null' : typeof value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, shapeOf(inner)]));
}

function unite(a: Shape, b: Shape): Shape {
  if (JSON.stringify(a) === JSON.stringify(b)) return a;
  if (Array.isArray(a) && Array.isArray(b)) return a.length && b.length ? [unite(a[0]!, b[0]!)] : a.length ? a : b;
  if (typeof a === 'object' && typeof b === 'object' && !Array.isArray(a) && !Array.isArray(b)) {
    const bare = (shape: Record<string, Shape>) =>
      new Map(
        Object.entries(shape).map(([key, inner]) => [key.replace(/\?$/, ''), { inner, maybe: key.endsWith('?') }]),
      );
    const [left, right] = [bare(a), bare(b)];
    const keys = [...new Set([...left.keys(), ...right.keys()])];
    return Object.fromEntries(
      keys.map((key) => {
        const [x, y] = [left.get(key), right.get(key)];
        const maybe = !x || !y || x.maybe || y.maybe;
        return [maybe ? `${key}?` : key, x && y ? unite(x.inner, y.inner) : (x ?? y)!.inner];
      }),
    );
  }
  const text = (shape: Shape) => (typeof shape === 'string' ? shape : JSON.stringify(shape));
  const kinds = new Set([...text(a).split(' | '), ...text(b).split(' | ')]);
  return [...kinds].sort().join(' | ');
}
