/** Percent-encoded as sqlcommenter has it; `*` and `/` too, which could end the comment. */
const encoded = (text: string): string => encodeURIComponent(text).replace(/['*]/g, (sign) => `%${sign.charCodeAt(0).toString(16)}`);

/** The comment before a run's statements, so that pg_stat_activity shows who is asking. It stands first, since that view cuts at 1,024 bytes. */
export const queryTag = ({ jobName, id }: { readonly jobName: string; readonly id: string }): string =>
  `/*job='${encoded(jobName)}',run='${encoded(id)}'*/ `;
