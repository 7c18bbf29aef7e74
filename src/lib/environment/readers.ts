/** Makes a value of a variable's text. @throws {RangeError} that says what is wrong, and what to write */
export type Read<T> = (text: string) => T;

export const text: Read<string> = (value) => value;

export const oneOf =
  <T extends string>(allowed: readonly T[]): Read<T> =>
  (value) => {
    const found = allowed.find((word) => word === value);
    if (found === undefined) throw new RangeError(`'${value}' is none of ${allowed.join(', ')}`);
    return found;
  };

export const integer =
  (least: number, most: number): Read<number> =>
  (value) => {
    const number = /^\d+$/.test(value) ? Number(value) : NaN;
    if (!(number >= least && number <= most)) throw new RangeError(`'${value}' is no whole number from ${least} to ${most}`);
    return number;
  };

export const bytes: Read<number> = (value) => {
  const [, amount, unit] = /^(\d+)(kb|mb)?$/i.exec(value) ?? [];
  const size = Number(amount ?? NaN) * { kb: 1_024, mb: 1_048_576, '': 1 }[(unit ?? '').toLowerCase() as 'kb' | 'mb' | '']!;
  if (!(size >= 1 && size <= 104_857_600)) throw new RangeError(`'${value}' is no size: write bytes, or a number and kb or mb, up to 100mb`);
  return size;
};

/** The value is never repeated in the message: it holds a password. */
export const postgresUrl: Read<string> = (value) => {
  if (!/^postgres(ql)?:\/\//.test(value) || !URL.canParse(value)) {
    throw new RangeError('it is no Postgres address: write postgres://user:password@host:5432/database');
  }
  return value;
};

/** gs://bucket/prefix or file:folder, as apis/object-storage opens them. */
export const objectStorage: Read<string> = (value) => {
  if (!/^(gs:\/\/[a-z\d][a-z\d._-]+[a-z\d](\/.*)?|file:(?!\/\/).+)$/.test(value)) {
    throw new RangeError(`'${value}' is no object storage: write gs://bucket/prefix or file:folder`);
  }
  return value;
};

export const httpUrl: Read<string> = (value) => {
  if (!/^https?:\/\//.test(value) || !URL.canParse(value)) throw new RangeError('it is no address: write http://host:port or https://host');
  return value;
};

/** Such as download.geonames.org, with commas between them. */
export const hosts: Read<ReadonlySet<string>> = (value) => {
  const names = value.split(',').map((name) => name.trim().toLowerCase());
  const wrong = names.find((name) => !URL.canParse(`http://${name}`) || new URL(`http://${name}`).hostname !== name);
  if (wrong !== undefined) throw new RangeError(`'${wrong}' is no host: write example.com,example.org, without scheme, port and path`);
  return new Set(names);
};

/** The value is never repeated in the message: it may hold a password. */
export const clinicianDirectory: Read<string> = (value) => {
  const isHttp = URL.canParse(value) && /^https?:$/.test(new URL(value).protocol);
  if (!isHttp && !/^file:(?!\/\/).+$/.test(value)) throw new RangeError('it is no directory: write https://host/path or file:path');
  return value;
};

/** The value is never repeated in the message. */
export const redactionKey: Read<string> = (value) => {
  if (value.length < 32) throw new RangeError('it is too short: make one by openssl rand -base64 32');
  return value;
};

export const yesNo: Read<boolean> = (value) => oneOf(['yes', 'no'])(value) === 'yes';
