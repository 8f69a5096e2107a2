/** @file Adapters that are no GPU: a CPU does the work. They compile slowly and compute as one expects of a CPU. */

/** @param adapterName as `Gpu.adapterName` has it */
export function isSoftware(adapterName: string): boolean {
  return isLavapipe(adapterName) || /swiftshader|basic render|software/i.test(adapterName);
}

/** Mesa's, which compiles with LLVM. */
export function isLavapipe(adapterName: string): boolean {
  return /llvmpipe|lavapipe/i.test(adapterName);
}
