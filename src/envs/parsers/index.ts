/** @file Reading answers out of what models write, and scoring the form they wrote them in. */
export * from './extract_parser';
export * from './messages';
export * from './think_parser';
export * from './whitespace';
export * from './xml_parser';
