/** @file What to do where there is no WebGPU, for the browser at hand. */

export interface Advice {
  browser: string;
  steps: string[];
}

/** The advice for a user agent; the last one fits all. */
export function adviceFor(agent: string): Advice {
  // On iPhones and iPads every browser is Safari inside, whatever it calls itself.
  if (/iPhone|iPad|iPod/.test(agent)) {
    return {
      browser: 'this browser',
      steps: [
        'Update to iOS or iPadOS 26: WebGPU is on by default there, in Safari and in every other browser.',
        'On iOS 18: Settings, Apps, Safari, Advanced, Feature Flags, WebGPU; then open this page in Safari.',
      ],
    };
  }
  if (agent.includes('Firefox/')) {
    return {
      browser: 'Firefox',
      steps: [
        'Update to Firefox 141 or newer on Windows, 145 or newer on a Mac with Apple silicon.',
        'Elsewhere: open about:config, set dom.webgpu.enabled to true, and restart.',
        'Or open this page in Chrome or Edge.',
      ],
    };
  }
  if (agent.includes('Chrome/')) {
    const linux = agent.includes('Linux') && !agent.includes('Android');
    const edge = agent.includes('Edg/');
    return {
      browser: edge ? 'Edge' : 'Chrome',
      steps: [
        'Update to version 113 or newer (121 on Android).',
        'Switch on "Use graphics acceleration when available" under Settings, System, and restart.',
        ...(linux
          ? [
              'On Linux, start it with --enable-unsafe-webgpu --enable-features=Vulkan, and check that a Vulkan driver is installed.',
            ]
          : []),
        `Look at ${edge ? 'edge' : 'chrome'}://gpu: the line WebGPU says what is missing.`,
      ],
    };
  }
  if (agent.includes('Safari/')) {
    return {
      browser: 'Safari',
      steps: [
        'Update to Safari 26 (macOS 26): WebGPU is on by default there.',
        'On Safari 18: Settings, Feature Flags, WebGPU.',
      ],
    };
  }
  return { browser: 'your browser', steps: ['Open this page in a recent Chrome, Edge, Firefox or Safari.'] };
}
