import type access from './en/access.json';
import type common from './en/common.json';
import type deadLetters from './en/deadLetters.json';
import type models from './en/models.json';
import type overview from './en/overview.json';
import type playground from './en/playground.json';
import type settings from './en/settings.json';
import type task from './en/task.json';
import type tasks from './en/tasks.json';
import type usage from './en/usage.json';
import type workers from './en/workers.json';

/** The words of each room, as English has them. */
export type Rooms = {
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
export type Room = keyof Rooms;
