/** @file Things made of several parts that hold GPU memory: all parts, or none. */

/** Whatever must be told to free what it holds. */
export interface Destroyable {
  destroy(): void;
}

/**
 * Makes something out of parts, one after the other. When a later step fails, the parts claimed until then are destroyed,
 * newest first, and the error goes on.
 *
 *     return allOrNothing(async (own) => {
 *       const weights = own(await Weights.create(gpu, config));
 *       const generator = own(await Generator.create(weights));
 *       return new Policy(weights, generator); // which now owns both
 *     });
 *
 * @param make `own` claims a part and hands it back
 */
export async function allOrNothing<T>(make: (own: <P extends Destroyable>(part: P) => P) => Promise<T>): Promise<T> {
  const parts: Destroyable[] = [];
  try {
    return await make((part) => {
      parts.push(part);
      return part;
    });
  } catch (error) {
    for (const part of parts.reverse()) part.destroy();
    throw error;
  }
}
