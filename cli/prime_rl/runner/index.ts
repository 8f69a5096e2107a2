/** @file The program in an exported package. */
export { EnvironmentServer, serveEnvironment, serveLines } from './serve';
export { Session } from './session';
export { messagesOut } from './wire';
