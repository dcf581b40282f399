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
type Keys<T> = { [K in keyof T]: T[K] extends string ? string : Keys<T[K]> };
type Equal<A, B> = [A] extends [B] ? ([B] extends [A] ? true : false) : false;

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
