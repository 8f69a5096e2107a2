/** @file Why a run does not learn, in words. */
export { Diagnostician } from './diagnostician';
export type { DiagnosticianOptions, Observed } from './diagnostician';
export { FINDING_KINDS, adviceText, remedyText } from './finding';
export type { Diagnosis, Finding, FindingKind, SettingAdvice } from './finding';
