/**
 * The rows of the care-management tables, as Postgres gives them back: camelCase columns, a timestamp and a date as a Date
 * (a date at the local midnight of this process: select to_char(...) where the day itself counts). Name one where its columns
 * should be checked, `knex<Patient>('patient')`; knex asks for none.
 */
interface Audited {
  readonly createdAt: Date;
  readonly createdBy: string | null;
  readonly updatedAt: Date;
  readonly updatedBy: string | null;
}

interface SoftDeleted {
  readonly deletedAt: Date | null;
  readonly deletedBy: string | null;
}

export interface User {
  readonly id: string;
  readonly email: string;
  readonly firstName: string;
  readonly lastName: string;
  readonly role: 'clinician' | 'operator' | 'attribution';
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

export interface Market {
  readonly id: string;
  readonly name: string;
  readonly state: string;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

export interface Patient extends Audited, SoftDeleted {
  readonly id: string;
  readonly externalId: string | null;
  readonly firstName: string;
  readonly lastName: string;
  readonly birthDate: Date;
  readonly email: string | null;
  readonly phone: string | null;
  readonly zipCode: string | null;
  readonly marketId: string | null;
  readonly status: 'active' | 'discharged' | 'inactive';
  readonly dischargedAt: Date | null;
  readonly source: string;
}

export interface Workflow extends Audited {
  readonly id: string;
  readonly patientId: string;
  readonly type: 'onboarding' | 'discharge' | 'care_gap';
  readonly status: 'open' | 'completed' | 'cancelled';
  readonly priority: 'low' | 'normal' | 'high' | 'urgent';
  readonly dueAt: Date | null;
  readonly closedAt: Date | null;
  readonly cancelReason: string | null;
}

export interface Task extends Audited, SoftDeleted {
  readonly id: string;
  readonly patientId: string;
  readonly workflowId: string | null;
  readonly title: string;
  readonly status: 'open' | 'done' | 'cancelled';
  readonly assignedTo: string | null;
  readonly dueAt: Date | null;
  readonly expiresAt: Date | null;
  readonly deleteReason: string | null;
}

export interface ZipCode {
  readonly code: string;
  readonly city: string;
  readonly state: string | null;
  readonly stateName: string | null;
  readonly county: string | null;
  readonly latitude: number;
  readonly longitude: number;
  readonly updatedAt: Date;
}

export interface MemberSignal {
  readonly memberId: string;
  readonly signal: string;
  readonly value: number;
  readonly observedAt: Date;
  readonly updatedAt: Date;
}

export interface ClinicianMapping extends Audited {
  readonly id: string;
  readonly userId: string;
  readonly npi: string;
  readonly externalId: string | null;
  readonly displayName: string;
  readonly email: string;
  readonly syncedState: { readonly displayName: string; readonly email: string } | null;
  readonly syncedAt: Date | null;
}
