export { type Deleted, type OldRuns, type RetentionRule, RunRetention } from '../runs/records/retention.js';
