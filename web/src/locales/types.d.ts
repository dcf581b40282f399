import type { Rooms } from './rooms';

declare module 'i18next' {
  interface CustomTypeOptions {
    defaultNS: 'common';
    resources: Rooms;
  }
}
