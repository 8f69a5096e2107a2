/** @file Each browser is told what helps there. */
import { expect, it } from 'vitest';
import { adviceFor } from '../../demo/advice';

const WINDOWS = 'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko)';
const LINUX = 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)';
const ANDROID = 'Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko)';
const MAC = 'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)';
const IPHONE = 'Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)';

it.each([
  ['Chrome', `${WINDOWS} Chrome/140.0.0.0 Safari/537.36`, 'Chrome', 'chrome://gpu', 'Vulkan'],
  ['Chrome on Linux', `${LINUX} Chrome/140.0.0.0 Safari/537.36`, 'Chrome', '--enable-features=Vulkan', 'Safari'],
  ['Chrome on Android', `${ANDROID} Chrome/140.0.0.0 Mobile Safari/537.36`, 'Chrome', '121 on Android', 'On Linux'],
  ['Edge', `${WINDOWS} Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0`, 'Edge', 'edge://gpu', 'chrome://gpu'],
  [
    'Firefox',
    'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0',
    'Firefox',
    'dom.webgpu.enabled',
    'chrome://gpu',
  ],
  ['Safari', `${MAC} Version/18.5 Safari/605.1.15`, 'Safari', 'Safari 26', 'chrome://gpu'],
  [
    'Safari on an iPhone',
    `${IPHONE} Version/18.5 Mobile/15E148 Safari/604.1`,
    'this browser',
    'iOS 18',
    'about:config',
  ],
  [
    'Chrome on an iPhone',
    `${IPHONE} CriOS/140.0.0.0 Mobile/15E148 Safari/604.1`,
    'this browser',
    'iOS 18',
    'chrome://',
  ],
  ['anything else', 'Lynx/2.8.9', 'your browser', 'recent Chrome, Edge, Firefox or Safari', 'chrome://gpu'],
])('%s', (_, agent, browser, helps, doesNot) => {
  const advice = adviceFor(agent);
  expect(advice.browser).toBe(browser);
  expect(advice.steps.join('\n')).toContain(helps);
  expect(advice.steps.join('\n')).not.toContain(doesNot);
});
