/** @file The client of the judge's endpoint, loaded when it is first asked. */
export { OpenAIModel } from '../../eval/openai';
