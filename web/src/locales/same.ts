import type access from './zh/access.json';
import type common from './zh/common.json';
import type deadLetters from './zh/deadLetters.json';
import type models from './zh/models.json';
import type overview from './zh/overview.json';
import type playground from './zh/playground.json';
import type settings from './zh/settings.json';
import type task from './zh/task.json';
import type tasks from './zh/tasks.json';
import type usage from './zh/usage.json';
import type workers from './zh/workers.json';
import type { Rooms } from './rooms';

type Chinese = {
  access: typeof access;
  common: typeof common;
  deadLetters: typeof deadLetters;
  models: typeof models;
  overview: typeof overview;
  playground: typeof playground;
  settings: typeof settings;
  task: typeof task;
  tasks: typeof tasks;
  usage: typeof usage;
  workers: typeof workers;
};
/** Without the singular: Chinese has one form, `_other`, where English has two. */
type Keys<T> = { [K in keyof T as K extends `${string}_one` ? never : K]: T[K] extends string ? string : Keys<T[K]> };
/** Places where a language has one form of a plural only. */
type Lonely<T> = { [K in keyof T & string]: T[K] extends string ? (K extends `${infer Name}_other` ? (`${Name}_one` extends keyof T ? never : K) : K extends `${infer Name}_one` ? (`${Name}_other` extends keyof T ? never : K) : never) : Lonely<T[K]> }[keyof T & string];
type Equal<A, B> = [A] extends [B] ? ([B] extends [A] ? true : false) : false;

/** English has both forms of each plural: what lacks one is named here. */
export const HAS_BOTH_FORMS: { [R in keyof Rooms]: [Lonely<Rooms[R]>] extends [never] ? true : Lonely<Rooms[R]> } = {
  access: true,
  common: true,
  deadLetters: true,
  models: true,
  overview: true,
  playground: true,
  settings: true,
  task: true,
  tasks: true,
  usage: true,
  workers: true,
};

/** Both languages have the same keys: one that is missing or too many fails the type check here. */
export const HAVE_THE_SAME_KEYS: { [R in keyof Rooms]: Equal<Keys<Rooms[R]>, Keys<Chinese[R]>> extends true ? true : R } = {
  access: true,
  common: true,
  deadLetters: true,
  models: true,
  overview: true,
  playground: true,
  settings: true,
  task: true,
  tasks: true,
  usage: true,
  workers: true,
};
