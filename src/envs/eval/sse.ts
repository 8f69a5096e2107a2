/** @file Server-sent events (WHATWG HTML, section 9.2) as far as model endpoints use them: the data of each event. */

/**
 * Data of the events in a stream of lines; a CR at a line's end does not count, comments and other fields are passed over.
 * @param lines without their line feeds
 */
export async function* eventData(lines: AsyncIterable<string>): AsyncGenerator<string, void, void> {
  let data: string[] = [];
  for await (const raw of lines) {
    const line = raw.endsWith('\r') ? raw.slice(0, -1) : raw;
    if (line === '') {
      if (data.length > 0) yield data.join('\n');
      data = [];
    } else if (line.startsWith('data:')) data.push(line.slice(line[5] === ' ' ? 6 : 5));
  }
  // The standard drops an event whose blank line never came; some servers leave the last one out.
  if (data.length > 0) yield data.join('\n');
}
