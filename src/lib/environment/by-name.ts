/** A property's name as its variable is called: databasePoolMax is DATABASE_POOL_MAX. */
type VariableName<Name extends string> = Name extends `${infer First}${infer Rest}`
  ? `${First extends Lowercase<First> ? Uppercase<First> : `_${First}`}${VariableName<Rest>}`
  : '';

/** The checked values by the names of their variables; `Irregular` are called otherwise, or more than one variable makes them. */
type NamedVariables<Config, Irregular extends string> = Readonly<{ [Name in Exclude<keyof Config, Irregular> & string as VariableName<Name>]: Config[Name] }>;

export interface OwnVariables {
  /**
   * A variable of the job's own, without blanks around it. An empty one counts as one that is not set.
   * @param otherwise what it is when it is not set; without it such a one throws
   * @throws {Error} naming the variable
   */
  get(name: string, otherwise?: string): string;
}

/** The whole, by a call; and single variables. */
export type ByName<Config, Irregular extends string> = (() => Config) & NamedVariables<Config, Irregular> & OwnVariables;

const variableOf = (property: string): string => property.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase();

const propertyOf = (variable: string): string => variable.toLowerCase().replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());

function ownVariable(name: string, otherwise?: string): string {
  const value = (Object.hasOwn(process.env, name) && process.env[name]?.trim()) || otherwise;
  if (value === undefined) throw new Error(`The environment variable ${name} is not set. Set it, or give a default: envConfig.get('${name}', '...')`);
  return value;
}

/**
 * `read`, which can also be asked for single variables by name. It is read at the first use, since importing a module reads nothing.
 * The names are looked up behind the function's own properties, so that a call costs no more than one of `read`.
 * @param notByName properties that several variables make, or one that is called otherwise
 */
export function byName<Config extends object, Irregular extends keyof Config & string>(read: () => Config, notByName: readonly Irregular[]): ByName<Config, Irregular> {
  const lookUp: ProxyHandler<object> = {
    get(target, name, receiver): unknown {
      if (typeof name !== 'string' || name in target) return Reflect.get(target, name, receiver);
      const config = read() as Readonly<Record<string, unknown>>;
      if (Object.hasOwn(config, name)) throw new Error(`envConfig has its variables by their own names: write envConfig.${variableOf(name)}, or envConfig().${name}`);
      if (!/^[A-Z][A-Z\d_]*$/.test(name)) return undefined;
      const property = propertyOf(name);
      if (!Object.hasOwn(config, property)) throw new Error(`envConfig.${name} is no variable of the service. For one of your own write: envConfig.get('${name}')`);
      if ((notByName as readonly string[]).includes(property)) throw new Error(`envConfig.${name} is one of several variables that belong together: write envConfig().${property}`);
      return config[property];
    },
  };
  const config = Object.assign(() => read(), { get: ownVariable });
  Object.setPrototypeOf(config, new Proxy(Function.prototype, lookUp));
  return Object.freeze(config) as unknown as ByName<Config, Irregular>;
}
