import type { MemberSignal } from '@commons/backend/models/tables.js';
import { defineFactory, faker } from './define-factory.js';

/** A hemoglobin A1c of a member of its own, seen an hour ago. */
export const memberSignalFactory = defineFactory<MemberSignal>('member_signal', ({ sequence }) => ({
  memberId: `SYN-${sequence}`,
  signal: 'a1c',
  value: faker.number.float({ min: 4, max: 12, fractionDigits: 1 }),
  observedAt: new Date(Date.now() - 3_600_000),
}));
