/** @file Devices that differ from the real one in a chosen way: smaller limits, failing memory, a loss on command. */

/** A device of which some members are replaced; every other method acts on the real one. */
export function deviceWith(device: GPUDevice, members: Partial<Record<keyof GPUDevice, unknown>>): GPUDevice {
  return new Proxy(device, {
    get(target, name) {
      if (Object.hasOwn(members, name)) return members[name as keyof GPUDevice];
      const value: unknown = Reflect.get(target, name);
      return typeof value === 'function' ? (value as (...args: unknown[]) => unknown).bind(target) : value;
    },
  });
}

/** A device whose limits are lower than the real one's. */
export function deviceWithLimits(
  device: GPUDevice,
  limits: Partial<Record<keyof GPUSupportedLimits, number>>,
): GPUDevice {
  const lower = new Proxy(device.limits, {
    get: (target, name) => (limits as Record<PropertyKey, unknown>)[name] ?? (Reflect.get(target, name) as unknown),
  });
  return deviceWith(device, { limits: lower });
}

/**
 * A device on which chosen allocations fail for want of memory, as the scope around them reports it. Exhausting the
 * machine for real would take the test down with it.
 * @param fails whether the n-th allocation (from 0) fails
 */
export function deviceShortOfMemory(device: GPUDevice, fails: (allocation: number) => boolean): GPUDevice {
  const scopes: GPUErrorFilter[] = [];
  let allocations = 0;
  return deviceWith(device, {
    pushErrorScope(filter: GPUErrorFilter) {
      scopes.push(filter);
      device.pushErrorScope(filter);
    },
    async popErrorScope() {
      const failed = scopes.pop() === 'out-of-memory' && fails(allocations++);
      const error = await device.popErrorScope();
      return failed ? { message: 'no memory left' } : error;
    },
  });
}
